"""Statistics of each dataset by itself: how TFDV is asked for them, and how they are found."""

from __future__ import annotations

import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import statistics_pb2
from tfx_bsl.public.proto import slicing_spec_pb2

from components.data_gate.tables import Statistics
from components.example_gen import record

# TFDV names a slice by its feature and value.
_PREFIX = f"{record.DATASET}_"


def statistics_options() -> tfdv.StatsOptions:
    """How StatisticsGen counts: all images together, and those of each dataset."""
    spec = slicing_spec_pb2.SlicingSpec(feature_keys=[record.DATASET])
    return tfdv.StatsOptions(slicing_config=slicing_spec_pb2.SlicingConfig(slicing_specs=[spec]))


def by_dataset(statistics: statistics_pb2.DatasetFeatureStatisticsList) -> dict[str, Statistics]:
    """The statistics of each dataset, by its name."""
    return {
        one.name.removeprefix(_PREFIX): one
        for one in sorted(statistics.datasets, key=lambda one: one.name)
        if one.name.startswith(_PREFIX)
    }
