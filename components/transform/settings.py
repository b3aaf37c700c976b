"""Settings of the Transform node."""

from __future__ import annotations

import pydantic

from components.settings import Settings


class TransformSettings(Settings):
    """What the network is fed.

    Attributes:
      image_size: side of the square image, in pixels.
    """

    image_size: int = pydantic.Field(default=224, ge=32, le=1024)
