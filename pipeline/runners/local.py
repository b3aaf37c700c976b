"""Runs an experiment on this machine, under TFX's LocalDagRunner."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from tfx import v1 as tfx

from pipeline.config import MODEL_NAME, Config
from pipeline.pipeline import Places, create_pipeline


@dataclasses.dataclass(frozen=True)
class RunFolder:
    """What lies where in the folder of an experiment.

    Attributes:
      root: the folder.
    """

    root: Path

    @property
    def artifacts(self) -> Path:
        """What the nodes write."""
        return self.root / "artifacts"

    @property
    def metadata(self) -> Path:
        """ML Metadata: which node made what, from what."""
        return self.root / "metadata.sqlite"

    @property
    def serving(self) -> Path:
        """The folder that TF Serving watches."""
        return self.root / "serving" / MODEL_NAME

    @property
    def summary(self) -> Path:
        """The summary of the last run."""
        return self.root / "summary.json"


def build(
    config: Config, folder: RunFolder, sources: dict[str, Path], fingerprint: str
) -> tfx.dsl.Pipeline:
    """The pipeline, with its places below a folder.

    Args:
      config: the experiment.
      folder: where it writes.
      sources: the folder of each dataset.
      fingerprint: digest of the datasets' files.
    """
    folder.root.mkdir(parents=True, exist_ok=True)
    places = Places(
        pipeline_root=str(folder.artifacts),
        serving=str(folder.serving),
        sources={name: str(path.resolve()) for name, path in sources.items()},
        fingerprint=fingerprint,
    )
    metadata = tfx.orchestration.metadata.sqlite_metadata_connection_config(str(folder.metadata))
    return create_pipeline(config, places, metadata=metadata)


def run(pipeline: tfx.dsl.Pipeline) -> None:
    """Run it, node after node; what is unchanged comes from the cache."""
    tfx.orchestration.LocalDagRunner().run(pipeline)
