"""Settings of the Scorer."""

from __future__ import annotations

import pydantic

from components.settings import Settings


class ScorerSettings(Settings):
    """How the exported model is run.

    Attributes:
      batch_size: images a step of inference.
    """

    batch_size: int = pydantic.Field(default=32, ge=1)
