"""The curated schema as a node of the pipeline."""

# No `from __future__ import annotations`: TFX reads the annotations of a component at import.

from collections.abc import Iterable

from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx import v1 as tfx
from tfx.dsl.io import fileio

from components.data_gate import comparators
from components.example_gen import record
from components.example_gen.settings import Quality

FILE_NAME = comparators.SCHEMA_FILE


def curated_schema(
    datasets: Iterable[str] = (),
    quality: Quality | None = None,
    labels: record.Labels = "pneumonia",
) -> str:
    """The schema of the Example contract, as text.

    Args:
      datasets: the names that `dataset` may have; any, if none is given.
      quality: what the ingest asks of a film; the defaults, if none is given. Where it only
        reports its faults, they are no anomalies either.
      labels: what Examples are labelled with.
    """
    schema = comparators.read_schema()
    features = {one.name: one for one in schema.feature}
    if labels != "findings":
        schema.feature.remove(features[record.FINDING_LABELS])
    if names := list(datasets):
        _allow(features[record.DATASET], names)
    asked = quality or Quality()
    if asked.mode == "quarantine":
        features["image/height"].int_domain.min = asked.min_side
        features["image/width"].int_domain.min = asked.min_side
        features["image/std"].float_domain.min = asked.min_contrast
        features["image/colour"].float_domain.max = asked.max_colour
        features["image/polarity"].float_domain.min = asked.min_polarity
        # Not the body part, of which only a word must be known.
        _allow(features["view_position"], asked.views)
        _allow(features["modality"], asked.modalities)
    return text_format.MessageToString(schema)


def _allow(feature: schema_pb2.Feature, values: Iterable[str]) -> None:
    feature.string_domain.name = feature.name
    feature.string_domain.value.extend(values)


@tfx.dsl.components.component
def CuratedSchema(
    schema: tfx.dsl.components.OutputArtifact[tfx.types.standard_artifacts.Schema],
    text: tfx.dsl.components.Parameter[str],
) -> None:
    """Puts a schema into the pipeline.

    The text itself is the parameter: TFX's own ImportSchemaGen takes a path, and is answered
    from the cache after the file was edited.

        schema_gen = CuratedSchema(text=curated_schema(["pediatric", "nih"], quality))
    """
    with fileio.open(f"{schema.uri}/{FILE_NAME}", "w") as file:
        file.write(text)
