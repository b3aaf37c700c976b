"""The statistics as rows of plain tables."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TypeAlias

from tensorflow_metadata.proto.v0 import statistics_pb2

from components.example_gen import record

Statistics: TypeAlias = statistics_pb2.DatasetFeatureStatistics

# What names an image or a patient has no place in a report; boxes, and the labels of findings,
# are no scalars; and a dataset's name is the same in all of its images.
_LEFT_OUT = {
    record.IMAGE,
    record.SHA256,
    record.FILENAME,
    record.PATIENT_ID,
    record.BOXES,
    record.BOX_FINDINGS,
    record.FINDING_LABELS,
    record.DATASET,
}
_TOP = 5


@dataclasses.dataclass(frozen=True)
class Numbers:
    """A feature of numbers.

    Attributes:
      feature: its name.
      n: images that have it.
      missing: images that do not.
      mean: of its values, as are the others.
      std: standard deviation.
      minimum: smallest.
      median: middle.
      maximum: largest.
    """

    feature: str
    n: int
    missing: int
    mean: float
    std: float
    minimum: float
    median: float
    maximum: float


@dataclasses.dataclass(frozen=True)
class Names:
    """A feature of names.

    Attributes:
      feature: its name.
      n: images that have it.
      missing: images that do not.
      unique: how many different values there are.
      top: the most frequent values with their counts.
    """

    feature: str
    n: int
    missing: int
    unique: int
    top: tuple[tuple[str, int], ...]


def numbers(statistics: Statistics) -> list[Numbers]:
    """The features of numbers that any image has."""
    return [
        Numbers(
            feature=feature_name(one),
            n=one.num_stats.common_stats.num_non_missing,
            missing=_missing(one, statistics),
            mean=one.num_stats.mean,
            std=one.num_stats.std_dev,
            minimum=one.num_stats.min,
            median=one.num_stats.median,
            maximum=one.num_stats.max,
        )
        for one in shown_features(statistics)
        if one.HasField("num_stats")
    ]


def names(statistics: Statistics) -> list[Names]:
    """The features of names that any image has."""
    return [
        Names(
            feature=feature_name(one),
            n=one.string_stats.common_stats.num_non_missing,
            missing=_missing(one, statistics),
            unique=one.string_stats.unique,
            top=tuple((v.value, int(v.frequency)) for v in one.string_stats.top_values[:_TOP]),
        )
        for one in shown_features(statistics)
        if one.HasField("string_stats")
    ]


def shown_features(
    statistics: Statistics,
) -> Iterator[statistics_pb2.FeatureNameStatistics]:
    """The features that a report may show, by name; those that no image has are left out."""
    for one in sorted(statistics.features, key=feature_name):
        if feature_name(one) not in _LEFT_OUT and images_with(one):
            yield one


def feature_name(feature: statistics_pb2.FeatureNameStatistics) -> str:
    """The name of a feature; TFDV keeps it as a path."""
    return feature.name or ".".join(feature.path.step)


def images_with(feature: statistics_pb2.FeatureNameStatistics) -> int:
    """How many images have a feature."""
    kind = feature.WhichOneof("stats")
    return getattr(feature, kind).common_stats.num_non_missing if kind else 0


def _missing(feature: statistics_pb2.FeatureNameStatistics, statistics: Statistics) -> int:
    # Not TFDV's own count, which knows nothing of batches without the feature.
    return statistics.num_examples - images_with(feature)
