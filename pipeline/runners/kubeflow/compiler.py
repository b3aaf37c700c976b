"""Compiles an experiment for Kubeflow Pipelines v2."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import yaml
from tfx import v1 as tfx
from tfx.dsl.components.base.base_node import BaseNode

from components.errors import InputError
from pipeline.config import Config
from pipeline.pipeline import Places, create_pipeline
from pipeline.runners.kubeflow import adaptations, nodes
from pipeline.runners.kubeflow.build import build, build_exit_handler
from pipeline.runners.kubeflow.checks import check
from pipeline.runners.kubeflow.experiment import ANNOTATION, ENV, experiment_text
from pipeline.runners.kubeflow.parameters import RUNTIME_PARAMETERS
from pipeline.runners.kubeflow.platform import platform_spec
from pipeline.runners.kubeflow.reach import check_reach

Flavour = Literal["kubeflow", "vertex"]

LAUNCH = ["python", "-m", "pipeline.runners.kubeflow.launch"]

# What Kubeflow's launcher uploads to, and downloads from.
_SCHEMES = {"kubeflow": ("gs://", "s3://", "minio://"), "vertex": ("gs://",)}


class _Dumper(yaml.SafeDumper):
    """Writes what stands in several places several times, not as references to the first."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def compile_pipeline(
    config: Config, places: Places, *, flavour: Flavour, image: str, output: Path
) -> str:
    """Write the pipeline's intermediate representation, which the engine takes as it is.

    Args:
      config: the experiment.
      places: where the nodes read and write.
      flavour: `kubeflow`, the open-source one; or `vertex`.
      image: the container image that holds this project.
      output: the YAML file.

    Returns:
      The pipeline's name.

    Raises:
      InputError: if the pipeline's root is nothing that the engine can write to, and see
        `compile_for_kubeflow`.
      NotRunnableError: if Kubeflow would not run what came out.
    """
    check_root(places.pipeline_root, flavour)
    if flavour == "vertex":
        spec = compile_with_tfx(create_pipeline(config, places), image=image)
        documents = [nodes.run_anew(spec, nodes.readers_of_unseen_files(config, places))]
    else:
        documents = compile_for_kubeflow(config, places, image=image)
    output.parent.mkdir(parents=True, exist_ok=True)
    with output.open("w", encoding="utf-8") as file:
        yaml.dump_all(documents, file, _Dumper, sort_keys=True, allow_unicode=True, width=100)
    return str(documents[0]["pipelineInfo"]["name"])


def check_root(pipeline_root: str, flavour: Flavour) -> None:
    """Refuse a pipeline root that the engine cannot write to.

    Raises:
      InputError: naming what it can.
    """
    schemes = _SCHEMES[flavour]
    if not pipeline_root.startswith(schemes):
        raise InputError(
            f"--pipeline-root {pipeline_root}: {flavour} keeps artifacts in object storage: give "
            + " or ".join(f"{scheme}BUCKET/FOLDER" for scheme in schemes)
        )


def compile_for_kubeflow(config: Config, places: Places, *, image: str) -> list[dict[str, Any]]:
    """The pipeline spec and the platform spec for open-source Kubeflow.

    Raises:
      InputError: if Beam's work is to go to a cluster, pods could not open a place, or settings
        are of nodes that the pipeline does not have.
    """
    if config.beam.runner != "direct":
        raise InputError(
            f"beam.runner={config.beam.runner}: on open-source Kubeflow a node works on its pod's "
            "copies of artifacts, which no other cluster sees: leave it out"
        )
    settings = config.kubeflow
    check_reach(places, settings)
    pipeline = build(config, places)
    exit_handler = build_exit_handler(config)
    nodes.check_nodes(settings, [node.id for node in (*pipeline.components, exit_handler)])
    spec = compile_with_tfx(pipeline, exit_handler, image=image, command=LAUNCH)
    spec = adaptations.carry_types(spec)
    spec = adaptations.use_system_types(spec)
    spec = adaptations.add_parameters(spec, RUNTIME_PARAMETERS)
    spec = adaptations.set_pipeline_root(spec, places.pipeline_root)
    spec = nodes.set_resources(spec, settings)
    spec = nodes.set_env(spec, settings)
    spec = nodes.set_retries(spec, settings)
    anew = nodes.readers_of_unseen_files(config, places)
    spec = nodes.set_caching(spec, settings, anew=anew)
    spec = adaptations.whole_numbers(spec)
    platform = platform_spec(
        spec,
        settings,
        annotations={ANNOTATION: experiment_text(config, places)},
        env={ENV: ANNOTATION},
    )
    check(spec, platform)
    return [spec, platform]


def compile_with_tfx(
    pipeline: tfx.dsl.Pipeline,
    exit_handler: BaseNode | None = None,
    *,
    image: str,
    command: list[str] | None = None,
) -> dict[str, Any]:
    """TFX's own pipeline spec.

    Args:
      pipeline: what is compiled.
      exit_handler: runs when all other nodes ended.
      image: of every node.
      command: that starts a node; TFX's own by default.
    """
    runner = tfx.orchestration.experimental.KubeflowV2DagRunner(
        config=tfx.orchestration.experimental.KubeflowV2DagRunnerConfig(
            default_image=image, default_commands=command, use_pipeline_spec_2_1=True
        )
    )
    if exit_handler is not None:
        runner.set_exit_handler(exit_handler)
    return runner.run(pipeline, write_out=False)["pipelineSpec"]
