"""Settings of the Evaluator."""

from __future__ import annotations

from typing import Annotated, Literal

import pydantic

from components.example_gen import record
from components.example_gen.settings import DatasetName
from components.scorer.features import SLICEABLE
from components.settings import Settings

Auc = Annotated[float, pydantic.Field(ge=0, le=1)]


def _known_features(keys: str) -> str:
    for key in keys.split("*"):
        if key not in SLICEABLE:
            raise ValueError(f"{key!r} is none of {', '.join(SLICEABLE)}")
    return keys


def _within_a_dataset(feature: str) -> str:
    if feature not in SLICEABLE or feature == record.DATASET:
        others = ", ".join(name for name in SLICEABLE if name != record.DATASET)
        raise ValueError(f"{feature!r} is none of {others}")
    return feature


Slice = Annotated[str, pydantic.AfterValidator(_known_features)]
Feature = Annotated[str, pydantic.AfterValidator(_within_a_dataset)]


class EvaluatorSettings(Settings):
    """What is measured, and what a model must reach to be blessed.

    Attributes:
      slices: features whose values divide the images, besides the dataset; `a*b` crosses two.
      min_slice_size: smaller slices are left out of the summary, which counts them.
      min_auc: for each dataset, the AUC on its test images below which a model is refused; where
        all findings are labels, the macro AUC: the mean over the findings that its test images
        have both with and without.
      max_gap: for each dataset and feature, by how much the AUC may differ between the subgroups
        that the feature's values make of the dataset's test images.
      min_gap_images: images with a finding, and images without, that a subgroup must have for
        its AUC to be compared with another's.
      confidence_intervals: of TFMA's figures, which takes images for independent; `jackknife`
        leaves a twentieth out at a time, `poisson_bootstrap` draws twenty samples. Either takes
        ten times as long as none, whatever the number of images.
    """

    slices: tuple[Slice, ...] = ("etiology",)
    min_slice_size: int = pydantic.Field(default=5, ge=1)
    min_auc: dict[DatasetName, Auc] = {}
    max_gap: dict[DatasetName, dict[Feature, Auc]] = {}
    min_gap_images: int = pydantic.Field(default=10, ge=1)
    confidence_intervals: Literal["none", "jackknife", "poisson_bootstrap"] = "none"
