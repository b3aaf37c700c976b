"""Settings of the robustness report."""

from __future__ import annotations

import pydantic

from components.settings import Settings


class RobustnessSettings(Settings):
    """Whether a model is also asked about worse films, and how many.

    Attributes:
      enabled: it runs the model over the films once for each corruption and severity.
      severities: of each corruption, from the least.
      max_images: of each dataset's test images.
      seed: of the sample and of the corruptions.
    """

    enabled: bool = False
    severities: int = pydantic.Field(default=3, ge=1, le=3)
    max_images: int = pydantic.Field(default=200, ge=1)
    seed: int = pydantic.Field(default=1, ge=0)
