"""Settings of the Evaluator."""

from __future__ import annotations

from typing import Annotated, Literal

import pydantic

from components.example_gen import record
from components.example_gen.settings import DatasetName
from components.scorer.features import SLICEABLE
from components.settings import Settings

Auc = Annotated[float, pydantic.Field(ge=0, le=1)]
Share = Annotated[float, pydantic.Field(ge=0, le=1)]
Prevalence = Annotated[float, pydantic.Field(gt=0, lt=1)]
Lift = Annotated[float, pydantic.Field(gt=-1, lt=1)]


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
      min_slice_size: smaller slices are left out of summary and report, which count them.
      prevalence: for each dataset, the share of positives where the model is to be used, for
        which the PPV is given, too.
      report_only: judge, and refuse nothing.
      min_images_per_class: a dataset with fewer test images with, or without, is refused: there is
        too little to judge by.
      min_auc: for each dataset, what the lower bound of the AUC's interval on its test images must
        reach; where all findings are labels, that of the macro AUC: the mean over the findings
        that its test images have both with and without.
      min_sensitivity: for each dataset, what the lower bound of the sensitivity at the operating
        point must reach; of a model of one finding.
      max_ece: for each dataset, the largest expected calibration error; the mean over findings.
        What chance alone makes of right probabilities is not held against a model.
      min_lift: for each dataset, by how much the AUC must exceed that of the best trivial model:
        what the lower bound of the difference must reach.
      min_explanation_lift: for each dataset, by how much the pointing game of heat maps must exceed
        its best floor, which looks at no film: what the lower bound of the difference must reach.
        A dataset without boxes is refused.
      max_loss: by how much the AUC may fall short of the last blessed model's, on the same images.
        More of it refuses a model if it is no matter of chance.
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
    prevalence: dict[DatasetName, Prevalence] = {}
    report_only: bool = False
    min_images_per_class: int = pydantic.Field(default=30, ge=1)
    min_auc: dict[DatasetName, Auc] = {}
    min_sensitivity: dict[DatasetName, Share] = {}
    max_ece: dict[DatasetName, Share] = {}
    min_lift: dict[DatasetName, Lift] = {}
    min_explanation_lift: dict[DatasetName, Lift] = {}
    max_loss: float = pydantic.Field(default=0.02, ge=0, lt=1)
    max_gap: dict[DatasetName, dict[Feature, Auc]] = {}
    min_gap_images: int = pydantic.Field(default=20, ge=1)
    confidence_intervals: Literal["none", "jackknife", "poisson_bootstrap"] = "none"
