"""The curated schema as a node of the pipeline."""

# No `from __future__ import annotations`: TFX reads the annotations of a component at import.

from collections.abc import Iterable

from google.protobuf import text_format
from tfx import v1 as tfx
from tfx.dsl.io import fileio

from components.data_gate import comparators
from components.example_gen import record

FILE_NAME = comparators.SCHEMA_FILE


def curated_schema(datasets: Iterable[str] = ()) -> str:
    """The schema of the Example contract, as text.

    Args:
      datasets: the names that `dataset` may have; any, if none is given.
    """
    schema = comparators.read_schema()
    if names := list(datasets):
        (feature,) = (one for one in schema.feature if one.name == record.DATASET)
        feature.string_domain.name = record.DATASET
        feature.string_domain.value.extend(names)
    return text_format.MessageToString(schema)


@tfx.dsl.components.component
def CuratedSchema(  # noqa: N802 (a component, made by a function)
    schema: tfx.dsl.components.OutputArtifact[tfx.types.standard_artifacts.Schema],
    text: tfx.dsl.components.Parameter[str],
) -> None:
    """Puts a schema into the pipeline.

    The text itself is the parameter: TFX's own ImportSchemaGen takes a path, and is answered
    from the cache after the file was edited.

        schema_gen = CuratedSchema(text=curated_schema(["pediatric", "nih"]))
    """
    with fileio.open(f"{schema.uri}/{FILE_NAME}", "w") as file:
        file.write(text)
