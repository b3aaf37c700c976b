"""Settings of the Grad-CAM report."""

from __future__ import annotations

import pydantic

from components.settings import Settings


class GradCamSettings(Settings):
    """Which cases are explained, and how.

    Attributes:
      cases: how many, at most.
      opacity: of the heat map at its hottest, on [0, 1].
      seed: of the choice among cases that the rules do not tell apart.
    """

    cases: int = pydantic.Field(default=12, ge=1)
    opacity: float = pydantic.Field(default=0.6, gt=0, le=1)
    seed: int = 1
