"""What `cxr compile` and `cxr submit` ask alike: the experiment, the image and the places."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pipeline.config import Config

if TYPE_CHECKING:
    from pipeline.pipeline import Places

_Command = TypeVar("_Command", bound=Callable[..., Any])

_OPTIONS = (
    click.argument("experiment"),
    click.option("--image", default="cxr:latest", show_default=True, help="Holds this project."),
    click.option(
        "--pipeline-root",
        # Where Kubeflow's own pipelines go.
        default="minio://mlpipeline/v2/artifacts",
        show_default=True,
        metavar="URL",
        help="Artifacts go below it: s3://BUCKET/FOLDER, gs:// or minio://.",
    ),
    click.option(
        "--data-root",
        default="/data",
        show_default=True,
        help="Where the datasets are, as the containers see it.",
    ),
    click.option(
        "--local-data",
        metavar="DIR",
        help="The same data as this machine sees it: with its digest, data that did not change "
        "comes from the cache.  [default: the data root, if it is seen here]",
    ),
    click.option(
        "--serving-root",
        help="Pushed models go below it.  [default: PIPELINE/serving below the pipeline's root]",
    ),
    click.option(
        "--set",
        "overrides",
        metavar="KEY=VALUE",
        multiple=True,
        help="Change a setting; repeatable.",
    ),
)


def cluster_options(command: _Command) -> _Command:
    """The arguments of a command that compiles an experiment for a cluster."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


# Said where a gate is missing that `cxr run` has.
NO_EARLIER_RUNS = (
    "Warning: a pipeline on a cluster finds no earlier runs. A model is not compared with the one "
    "blessed last, nor data with that accepted last: a worse model can be blessed, and is stable "
    "at once unless pusher.promote=false."
)


def find_places(
    config: Config,
    *,
    pipeline_root: str,
    data_root: str,
    local_data: str | None,
    serving_root: str | None,
) -> Places:
    """Where the nodes read and write, with the data's digest where it is seen from here.

    Raises:
      InputError: if the data is not where it was said to be.
    """
    from components.errors import InputError
    from pipeline.runners.kubeflow.build import places_on_cluster
    from pipeline.runners.kubeflow.fingerprint import data_fingerprint

    try:
        fingerprint = data_fingerprint(config, local_data or data_root)
    except InputError:
        # What is there under that name on this machine need not be the cluster's.
        if local_data:
            raise
        fingerprint = ""
    if local_data and not fingerprint:
        raise InputError(f"--local-data: no such folder: {local_data}")
    return places_on_cluster(
        config,
        data_root=data_root.rstrip("/"),
        pipeline_root=pipeline_root.rstrip("/"),
        serving_root=serving_root.rstrip("/") if serving_root else None,
        fingerprint=fingerprint,
    )
