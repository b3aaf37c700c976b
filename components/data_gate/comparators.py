"""Which features are compared between two sets of images, and how: read from the schema."""

from __future__ import annotations

import enum
import functools
import importlib.resources

from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

SCHEMA_FILE = "schema.pbtxt"


class Measure(enum.StrEnum):
    """How two sets are compared in a feature; every measure is on [0, 1].

    The first two compare the values of the images that have the feature, the last how many have it.
    """

    DIVERGENCE = "Jensen-Shannon divergence"
    SHARE = "largest difference of a share"
    PRESENCE = "difference of the share that has it"


def read_schema() -> schema_pb2.Schema:
    """The curated schema, as it stands in its file."""
    text = importlib.resources.files(__package__).joinpath(SCHEMA_FILE).read_text("utf-8")
    return text_format.Parse(text, schema_pb2.Schema())


@functools.cache
def compared_features() -> dict[str, Measure]:
    """The features that are compared, in the order of the schema."""
    return {
        one.name: Measure.DIVERGENCE
        if one.skew_comparator.HasField("jensen_shannon_divergence")
        else Measure.SHARE
        for one in read_schema().feature
        if one.HasField("skew_comparator")
    }
