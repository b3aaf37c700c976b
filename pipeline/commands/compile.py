"""`cxr compile`: an experiment's pipeline for Kubeflow."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.commands.cluster import NO_EARLIER_RUNS, cluster_options, find_places
from pipeline.config import load_config
from pipeline.console import noise_to

if TYPE_CHECKING:
    from pipeline.runners.kubeflow.compiler import Flavour


@click.command(name="compile")
@cluster_options
@click.option(
    "--runner",
    type=click.Choice(["kubeflow", "vertex"]),
    default="kubeflow",
    show_default=True,
    help="Open-source Kubeflow Pipelines, or Vertex AI's.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="The YAML file to write.",
)
def compile(  # noqa: A001 (the command's name)
    experiment: str,
    image: str,
    pipeline_root: str,
    data_root: str,
    local_data: str | None,
    serving_root: str | None,
    overrides: tuple[str, ...],
    runner: Flavour,
    output: Path,
) -> None:
    """Write the Kubeflow Pipelines IR of EXPERIMENT as YAML."""
    config = load_config(experiment, overrides)
    with noise_to(Path(os.devnull)):
        from pipeline.runners.kubeflow.compiler import compile_pipeline
        from pipeline.runners.kubeflow.nodes import WEIGHTS_READERS, readers_of_unseen_files

        places = find_places(
            config,
            pipeline_root=pipeline_root,
            data_root=data_root,
            local_data=local_data,
            serving_root=serving_root,
        )
        compile_pipeline(config, places, flavour=runner, image=image, output=output)
        unseen = readers_of_unseen_files(config, places)
    click.echo(NO_EARLIER_RUNS, err=True)
    click.echo(f"{output}: the pipeline of {config.name}, for {runner}")
    if runner == "vertex" and "kubeflow" in config.model_fields_set:
        click.echo("The settings of kubeflow are left out: Vertex does not take them.")
    elif not places.fingerprint:
        click.echo(
            "The data is not seen from here, so every run reads it anew, and so does all that "
            "follows: see --local-data."
        )
    if unseen.intersection(WEIGHTS_READERS):
        click.echo(
            f"{config.trainer.weights} is not seen from here, so every run reads it anew, and so "
            "does all that learns."
        )
