"""`cxr compile`: an experiment's pipeline for Kubeflow."""

from __future__ import annotations

import os
from pathlib import Path

import click

from pipeline.config import load_config
from pipeline.console import noise_to


@click.command(name="compile")
@click.argument("experiment")
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), required=True)
@click.option("--image", default="cxr:latest", show_default=True, help="Holds this project.")
@click.option("--data-root", default="/data", show_default=True, help="As the containers see it.")
@click.option(
    "--pipeline-root", default="/pipeline", show_default=True, help="As the containers see it."
)
@click.option(
    "--set", "overrides", metavar="KEY=VALUE", multiple=True, help="Change a setting; repeatable."
)
def compile(  # noqa: A001 (the command's name)
    experiment: str,
    output: Path,
    image: str,
    data_root: str,
    pipeline_root: str,
    overrides: tuple[str, ...],
) -> None:
    """Write the Kubeflow Pipelines IR of EXPERIMENT as YAML."""
    config = load_config(experiment, overrides)

    with noise_to(Path(os.devnull)):
        from pipeline.runners.kubeflow import compile_pipeline

        compile_pipeline(
            config, image=image, data_root=data_root, pipeline_root=pipeline_root, output=output
        )
    click.echo(f"{output}: the pipeline of {config.name}, for Kubeflow Pipelines v2")
