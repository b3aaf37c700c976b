"""Compiles an experiment for Kubeflow Pipelines v2."""

from __future__ import annotations

from pathlib import Path

from tfx import v1 as tfx

from pipeline.config import MODEL_NAME, Config
from pipeline.pipeline import Places, create_pipeline


def compile_pipeline(
    config: Config, *, image: str, data_root: str, pipeline_root: str, output: Path
) -> None:
    """Write the pipeline's intermediate representation, which Kubeflow takes as it is.

    Args:
      config: the experiment.
      image: the container image that holds this project.
      data_root: where the datasets are, as the containers see it.
      pipeline_root: where artifacts and pushed models go, as the containers see it.
      output: the YAML file.
    """
    places = Places(
        pipeline_root=pipeline_root,
        serving=f"{pipeline_root}/serving/{MODEL_NAME}",
        sources={
            name: f"{data_root}/{source.folder}" if source.folder else data_root
            for name, source in config.data.datasets.items()
        },
        # The files are not here to be looked at: a new compilation does not invalidate the cache.
        fingerprint="",
        # Open-source Kubeflow has no resolver.
        remembers=False,
    )
    runner = tfx.orchestration.experimental.KubeflowV2DagRunner(
        config=tfx.orchestration.experimental.KubeflowV2DagRunnerConfig(default_image=image),
        output_dir=str(output.parent),
        output_filename=output.name,
    )
    runner.run(create_pipeline(config, places), write_out=True)
