"""Settings of the Evaluator."""

from __future__ import annotations

from typing import Annotated

import pydantic

from components.example_gen import record
from components.example_gen.settings import DatasetName
from components.settings import Settings

Auc = Annotated[float, pydantic.Field(ge=0, le=1)]


def _known_features(keys: str) -> str:
    for key in keys.split("*"):
        if key not in record.SLICEABLE:
            raise ValueError(f"{key!r} is none of {', '.join(record.SLICEABLE)}")
    return keys


class EvaluatorSettings(Settings):
    """What is measured, and what a model must reach to be blessed.

    Attributes:
      slices: features whose values divide the test images, besides the dataset; `a*b` crosses
        two.
      min_slice_size: smaller slices are left out of the summary, which counts them.
      min_auc: for each dataset, the AUC on its test images below which a model is refused; where
        all findings are labels, the macro AUC: the mean over the findings that its test images
        have both with and without.
      batch_size: images a step of inference.
    """

    slices: tuple[Annotated[str, pydantic.AfterValidator(_known_features)], ...] = ("etiology",)
    min_slice_size: int = pydantic.Field(default=5, ge=1)
    min_auc: dict[DatasetName, Auc] = {}
    batch_size: int = pydantic.Field(default=32, ge=1)
