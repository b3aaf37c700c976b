"""Settings of the trivial models that the real one must beat."""

from __future__ import annotations

from components.settings import Settings


class BaselineProbeSettings(Settings):
    """Whether there are any.

    Attributes:
      enabled: without them nothing tells whether a model sees more than a thumbnail shows.
    """

    enabled: bool = True
