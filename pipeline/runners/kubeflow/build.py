"""An experiment's pipeline as open-source Kubeflow runs it."""

from __future__ import annotations

from tfx import v1 as tfx

from components.example_gen.datasets.files import join, place
from components.verdict.component import ReportVerdict, Verdict
from pipeline.config import MODEL_NAME, Config
from pipeline.pipeline import Places, create_pipeline


def places_on_cluster(
    config: Config,
    *,
    data_root: str,
    pipeline_root: str,
    serving_root: str | None = None,
    fingerprint: str = "",
) -> Places:
    """Where the nodes of a cluster read and write.

    Args:
      config: the experiment.
      data_root: where the datasets are, as the containers see it.
      pipeline_root: artifacts go below it.
      serving_root: pushed models go below it; by default `PIPELINE/serving` below the pipeline's
        root.
      fingerprint: digest of the datasets' files; empty where they cannot be looked at.
    """
    return Places(
        pipeline_root=pipeline_root,
        # Of each experiment its own: versions and labels of one are nothing to another.
        serving=model_folder(serving_root or f"{pipeline_root}/{config.pipeline_name}/serving"),
        sources={
            name: str(join(place(data_root), source.folder))
            for name, source in config.data.datasets.items()
        },
        fingerprint=fingerprint,
        # Open-source Kubeflow has no resolver. For Vertex TFX refuses our strategy, and its own ask
        # for artifacts by type alone: not of which pipeline, nor by which node.
        remembers=False,
    )


def model_folder(serving_root: str) -> str:
    """The folder of the model's versions below what servers watch."""
    return f"{serving_root}/{MODEL_NAME}"


def build(config: Config, places: Places) -> tfx.dsl.Pipeline:
    """The pipeline of an experiment, with the node that leaves the verdict in the run's folder.

    Args:
      config: the experiment.
      places: where it reads and writes.
    """
    pipeline = create_pipeline(config, places)
    nodes = {node.id: node for node in pipeline.components}
    verdict = Verdict(
        judgement=nodes["ModelGate"].outputs["judgement"],
        pushed_model=nodes["Pusher"].outputs["pushed_model"],
    )
    # A pipeline knows the nodes that were there when it was made.
    with pipeline.dsl_context_registry.temporary_mutable():
        pipeline.dsl_context_registry.put_node(verdict)
    pipeline.components = [*pipeline.components, verdict]
    return pipeline


def build_exit_handler(config: Config) -> ReportVerdict:
    """The node that runs when all others ended, however they did."""
    return ReportVerdict(webhook=config.kubeflow.webhook)
