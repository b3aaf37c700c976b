"""Settings of the trial that a model stands before it is pushed."""

from __future__ import annotations

from typing import Literal

import pydantic

from components.settings import Settings


class InfraCanarySettings(Settings):
    """What is asked of the model on a server of its own.

    Attributes:
      enabled: whether there is a trial; without one, the model is pushed on its figures alone.
      server: `docker`, TensorFlow Serving's own image; `embedded`, this project's server, in a
        process of its own; `auto`, the former where a Docker engine has or gets the image.
      image_tag: of `tensorflow/serving`.
      batch_sizes: in which the films are asked.
      max_milliseconds: that a single film may take, once the model is warm; the median of some
        requests to a server on this machine, which has other work. Generous, since it is there for
        what is wrong and not for what is slow.
      load_seconds: within which the model must be available.
      request_seconds: within which any request must be answered.
      tries: to start a server, where one does not come up. What the model answers is asked once.
    """

    enabled: bool = True
    server: Literal["auto", "embedded", "docker"] = "auto"
    image_tag: str = "2.21.0"
    batch_sizes: tuple[pydantic.PositiveInt, ...] = (1, 2, 5, 8)
    max_milliseconds: float = pydantic.Field(default=2000, gt=0)
    load_seconds: int = pydantic.Field(default=300, ge=1)
    request_seconds: float = pydantic.Field(default=120, gt=0)
    tries: int = pydantic.Field(default=2, ge=1)
