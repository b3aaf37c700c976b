"""Runs an experiment on this machine, under TFX's LocalDagRunner."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from tfx import v1 as tfx

from components.example_gen.datasets.files import Place
from pipeline.config import Config
from pipeline.metadata import connection_config
from pipeline.pipeline import Places, create_pipeline
from pipeline.run_folder import RunFolder

# How LocalDagRunner tells the connection to ML Metadata, and with it the password.
_CONNECTION_LINES = ("Using deployment config:", "Using connection config:")


def build(
    config: Config, folder: RunFolder, sources: Mapping[str, Place], fingerprint: str
) -> tfx.dsl.Pipeline:
    """The pipeline, with its places below a folder.

    Args:
      config: the experiment.
      folder: where it writes.
      sources: the folder of each dataset.
      fingerprint: digest of the datasets' files.
    """
    folder.root.mkdir(parents=True, exist_ok=True)
    artifacts, serving = str(folder.artifacts), str(folder.serving)
    if folder.store:
        artifacts, serving = (
            f"{folder.store}/{path.relative_to(folder.root).as_posix()}"
            for path in (folder.artifacts, folder.serving)
        )
    places = Places(
        pipeline_root=artifacts,
        serving=serving,
        sources={name: str(path.resolve()) for name, path in sources.items()},
        fingerprint=fingerprint,
    )
    metadata = connection_config(config.metadata, folder.metadata)
    return create_pipeline(config, places, metadata=metadata)


def run(pipeline: tfx.dsl.Pipeline) -> None:
    """Run it, node after node; what is unchanged comes from the cache."""
    # On the logger, not its handlers: nobody is told.
    logger = logging.getLogger("absl")
    logger.addFilter(_tells_no_connection)
    try:
        tfx.orchestration.LocalDagRunner().run(pipeline)
    finally:
        logger.removeFilter(_tells_no_connection)


def _tells_no_connection(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith(_CONNECTION_LINES)
