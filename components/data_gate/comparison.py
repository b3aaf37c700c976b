"""How far apart two sets of images are, feature by feature.

TFDV's own validators measure, by the comparators of the schema. Each dataset is compared with
itself: between datasets a difference is expected, and only shown.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

from components.data_gate import tables
from components.data_gate.comparators import Measure, compared_features
from components.data_gate.distance import Comparison, Distance, Kind
from components.data_gate.settings import DataGateSettings
from components.data_gate.tables import Statistics
from components.example_gen.split import TEST, TRAIN, VALIDATION

LAST_RUN = "last run's train"

# The statistics of each dataset, by split.
Splits = Mapping[str, Mapping[str, Statistics]]


def compare(
    splits: Splits,
    baseline: Mapping[str, Statistics],
    schema: schema_pb2.Schema,
    settings: DataGateSettings,
    changed: Mapping[str, Sequence[str]] | None = None,
) -> list[Comparison]:
    """Compare train with the other splits, with the last run, and the datasets with each other.

    Args:
      splits: of this run.
      baseline: of the train split of the last accepted run; empty if there was none.
      schema: its comparators say what is measured.
      settings: the limits.
      changed: for each dataset, the settings that the last run had otherwise: what differs then
        was asked for, and is shown, not judged.
    """
    found = []
    for kind, dataset, first, second in _pairs(splits, baseline):
        pair = (first.statistics, second.statistics)
        images = (pair[0].num_examples, pair[1].num_examples)
        other = tuple((changed or {}).get(dataset, ())) if kind is Kind.DRIFT else ()
        enough = kind is not Kind.EXPECTED and min(images) >= settings.min_images
        gated = enough and not other
        found.append(
            Comparison(
                kind=kind,
                dataset=dataset,
                first=first.name,
                second=second.name,
                images=images,
                gated=gated,
                distances=tuple(
                    one if gated else dataclasses.replace(one, judged=False)
                    for one in _distances(kind, pair, schema, settings)
                ),
                changed=other,
            )
        )
    return found


class _Side(NamedTuple):
    name: str
    statistics: Statistics


def _pairs(
    splits: Splits, baseline: Mapping[str, Statistics]
) -> Iterator[tuple[Kind, str, _Side, _Side]]:
    train = splits[TRAIN]
    for dataset, own in train.items():
        for split in (VALIDATION, TEST):
            if dataset in splits[split]:
                other = _Side(split, splits[split][dataset])
                yield Kind.SKEW, dataset, _Side(TRAIN, own), other
        if dataset in baseline:
            yield Kind.DRIFT, dataset, _Side(TRAIN, own), _Side(LAST_RUN, baseline[dataset])
    for one, two in itertools.combinations(train, 2):
        yield Kind.EXPECTED, f"{one} and {two}", _Side(one, train[one]), _Side(two, train[two])


def _distances(
    kind: Kind,
    pair: tuple[Statistics, Statistics],
    schema: schema_pb2.Schema,
    settings: DataGateSettings,
) -> Iterator[Distance]:
    """Of each feature its values, where both have it, and the share that has it, unless all do."""
    limits = {
        Kind.SKEW: settings.skew_limits(),
        Kind.DRIFT: settings.drift_limits(),
        Kind.EXPECTED: {},
    }[kind]
    most = None if kind is Kind.EXPECTED else settings.max_share_difference
    measured = _measure(kind, *pair, schema)
    images = (pair[0].num_examples, pair[1].num_examples)
    having = [_images_with(one) for one in pair]
    for feature, measure in compared_features().items():
        has = (having[0].get(feature, 0), having[1].get(feature, 0))
        if min(has):
            # A feature that few images have differs by chance, however large the sets are.
            enough = min(has) >= settings.min_images
            # TFDV is silent on numbers and names that have nothing in common.
            value = measured.get(feature, 1.0)
            yield Distance(feature, measure, value, limits.get(feature), has, enough)
        if max(has) and has != images:
            shares = [own / max(1, total) for own, total in zip(has, images, strict=True)]
            value = abs(shares[0] - shares[1])
            yield Distance(feature, Measure.PRESENCE, value, most, images, True)


def _measure(
    kind: Kind, first: Statistics, second: Statistics, schema: schema_pb2.Schema
) -> dict[str, float]:
    other = "previous_statistics" if kind is Kind.DRIFT else "serving_statistics"
    found = tfdv.validate_statistics(_as_list(first), schema, **{other: _as_list(second)})
    # A rounding error can make a divergence of nothing negative.
    return {
        ".".join(one.path.step): max(0.0, measurement.value)
        for one in found.drift_skew_info
        for measurement in (*one.skew_measurements, *one.drift_measurements)
    }


def _as_list(one: Statistics) -> statistics_pb2.DatasetFeatureStatisticsList:
    return statistics_pb2.DatasetFeatureStatisticsList(datasets=[one])


def _images_with(statistics: Statistics) -> dict[str, int]:
    return {tables.feature_name(one): tables.images_with(one) for one in statistics.features}
