"""The curated schema as a node of the pipeline."""

# No `from __future__ import annotations`: TFX reads the annotations of a component at import.

import importlib.resources

from tfx import v1 as tfx
from tfx.dsl.io import fileio

FILE_NAME = "schema.pbtxt"


def curated_schema() -> str:
    """The schema of the Example contract, as text."""
    return importlib.resources.files(__package__).joinpath(FILE_NAME).read_text()


@tfx.dsl.components.component
def CuratedSchema(  # noqa: N802 (a component, made by a function)
    schema: tfx.dsl.components.OutputArtifact[tfx.types.standard_artifacts.Schema],
    text: tfx.dsl.components.Parameter[str],
) -> None:
    """Puts a schema into the pipeline.

    The text itself is the parameter: TFX's own ImportSchemaGen takes a path, and is answered
    from the cache after the file was edited.

        schema_gen = CuratedSchema(text=curated_schema())
    """
    with fileio.open(f"{schema.uri}/{FILE_NAME}", "w") as file:
        file.write(text)
