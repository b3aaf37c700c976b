"""Settings of the cross-dataset matrix."""

from __future__ import annotations

from components.settings import Settings


class CrossDatasetSettings(Settings):
    """Whether heads are trained on each dataset alone, and tested on all.

    Attributes:
      enabled: by default where there are several datasets, labelled with pneumonia alone.
    """

    enabled: bool | None = None
