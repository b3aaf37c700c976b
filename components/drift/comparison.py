"""What a served model is asked, against what it was made with: TFDV's drift comparators."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import numpy as np
import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

from components.trainer.monitoring import generate_statistics

# Fewer say nothing: their histogram is noise.
FEWEST = 50

# Two samples of the same films differ, too: see `limit`.
_LEAST_LIMIT = 0.03
_NOISE = 1.1


@dataclasses.dataclass(frozen=True)
class Comparison:
    """One scalar, as it was and as it is.

    Attributes:
      name: of the scalar.
      trained: films that the statistics of the training tell of.
      served: requests that have the scalar.
      before: its median then; None without a film.
      now: its median among the requests; None without one.
      divergence: Jensen-Shannon, in bits on [0, 1]; None where either are fewer than `FEWEST`.
      limit: above it the scalar has moved; None likewise.
    """

    name: str
    trained: int
    served: int
    before: float | None
    now: float | None
    divergence: float | None
    limit: float | None

    @property
    def moved(self) -> bool:
        """Whether the requests are other than the training films."""
        return (
            self.divergence is not None and self.limit is not None and self.divergence > self.limit
        )


def compare(
    columns: Mapping[str, np.ndarray], trained: statistics_pb2.DatasetFeatureStatisticsList
) -> list[Comparison]:
    """Compare requests with the films of the training, scalar by scalar.

    Args:
      columns: of the requests, by name, float [N], NaN where there is no value.
      trained: see `monitoring.write_statistics`.

    Returns:
      In the order of the training's statistics; a scalar that these lack is not compared.
    """
    features = {_name(one): one.num_stats for one in trained.datasets[0].features}
    empty = np.zeros(0)
    found = {
        name: columns.get(name, empty)[~np.isnan(columns.get(name, empty))] for name in features
    }
    limits = {
        name: limit(stats.common_stats.num_non_missing, len(found[name]))
        for name, stats in features.items()
        if min(stats.common_stats.num_non_missing, len(found[name])) >= FEWEST
    }
    divergences = _divergences({name: columns[name] for name in limits}, trained, limits)
    return [
        Comparison(
            name=name,
            trained=stats.common_stats.num_non_missing,
            served=len(found[name]),
            before=stats.median if stats.common_stats.num_non_missing else None,
            now=float(np.median(found[name])) if len(found[name]) else None,
            divergence=divergences.get(name),
            limit=limits.get(name),
        )
        for name, stats in features.items()
    ]


def limit(trained: int, served: int) -> float:
    """How far two samples may be apart in a scalar.

        0.03 + 1.1 sqrt(1 / trained + 1 / served)

    TFDV takes the divergence of deciles, with values spread evenly within each: two samples of
    one distribution are apart by about the second term. Measured on 120 pairs of samples each
    (normal, beta and log-normal), for sizes from 56 to 1,024 against 50 to 1,000: none was above
    this. With 1,000 on either side a shift by half a standard deviation is.
    """
    return _LEAST_LIMIT + _NOISE * math.sqrt(1 / trained + 1 / served)


def _divergences(
    columns: Mapping[str, np.ndarray],
    trained: statistics_pb2.DatasetFeatureStatisticsList,
    limits: Mapping[str, float],
) -> dict[str, float]:
    if not limits:
        return {}
    schema = schema_pb2.Schema()
    for name, most in limits.items():
        feature = schema.feature.add(name=name, type=schema_pb2.FLOAT)
        divergence = feature.drift_comparator.jensen_shannon_divergence
        divergence.threshold = min(most, 1.0)
        # Equally wide buckets would make one odd image look like another data set.
        divergence.source.type = schema_pb2.HistogramSelection.QUANTILES
    found = tfdv.validate_statistics(
        generate_statistics(columns), schema, previous_statistics=trained
    )
    measured = {
        ".".join(one.path.step): max(0.0, one.drift_measurements[0].value)
        for one in found.drift_skew_info
        if one.drift_measurements
    }
    # TFDV is silent on numbers that have nothing in common.
    return {name: measured.get(name, 1.0) for name in limits}


def _name(feature: statistics_pb2.FeatureNameStatistics) -> str:
    return ".".join(feature.path.step) or feature.name
