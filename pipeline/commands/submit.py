"""`cxr submit`: an experiment on Kubeflow Pipelines."""

from __future__ import annotations

import datetime
import os
import shutil
import sys
import tempfile
from pathlib import Path

import click

from pipeline.commands.cluster import NO_EARLIER_RUNS, cluster_options, find_places
from pipeline.config import load_config
from pipeline.console import noise_to

EXIT_FAILURE, EXIT_NOT_BLESSED = 1, 3


@click.command()
@cluster_options
@click.option(
    "--endpoint",
    metavar="URL",
    help="Kubeflow Pipelines' API.  [default: that of the cluster or the kubeconfig]",
)
@click.option("--namespace", help="The profile's, where Kubeflow has several users.")
@click.option("--experiment-name", help="Group of runs.  [default: the pipeline's name]")
@click.option("--run-name", help="[default: the pipeline's name and the time]")
@click.option(
    "--parameter",
    "parameters",
    metavar="NAME=VALUE",
    multiple=True,
    help="A runtime parameter: overrides, data_root, data_fingerprint, serving_root or "
    "train_steps; repeatable. --set compiles anew instead, and leaves in the cache what it does "
    "not touch.",
)
@click.option("--service-account", help="That the pods run as.")
@click.option("--token", envvar="CXR_KFP_TOKEN", show_envvar=True, help="Bearer token for the API.")
@click.option(
    "--ca-cert",
    type=click.Path(exists=True, dir_okay=False),
    help="Certificate of who signed the API's.",
)
@click.option("--kube-context", help="Of the kubeconfig, where there is no endpoint.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Keep the compiled YAML file.",
)
@click.option("--wait", is_flag=True, help="Wait for the run's end, and tell the verdict.")
@click.option("--timeout", type=float, metavar="SECONDS", help="Wait no longer.")
def submit(
    experiment: str,
    image: str,
    pipeline_root: str,
    data_root: str,
    local_data: str | None,
    serving_root: str | None,
    overrides: tuple[str, ...],
    endpoint: str | None,
    namespace: str | None,
    experiment_name: str | None,
    run_name: str | None,
    parameters: tuple[str, ...],
    service_account: str | None,
    token: str | None,
    ca_cert: str | None,
    kube_context: str | None,
    output: Path | None,
    wait: bool,
    timeout: float | None,
) -> None:
    """Compile EXPERIMENT and run it on Kubeflow Pipelines.

    Exit codes with --wait: 0 done (and blessed, as far as the verdict can be read from here), 3
    done but not blessed, 1 failure, 2 usage or input error.
    """
    if timeout is not None and not wait:
        raise click.UsageError("--timeout is for --wait")
    config = load_config(experiment, overrides)
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "pipeline.yaml"
        with noise_to(Path(os.devnull)):
            from pipeline.runners.kubeflow import submission
            from pipeline.runners.kubeflow.compiler import compile_pipeline
            from pipeline.runners.kubeflow.reach import check_reach
            from pipeline.runners.kubeflow.rebuild import apply
            from pipeline.runners.kubeflow.runtime import runtime_settings

            given = submission.read_parameters(parameters)
            places = find_places(
                config,
                pipeline_root=pipeline_root,
                data_root=data_root,
                local_data=local_data,
                serving_root=serving_root,
            )
            # What the pods would refuse, an hour later.
            check_reach(apply(config, places, runtime_settings(given))[1], config.kubeflow)
            name = compile_pipeline(config, places, flavour="kubeflow", image=image, output=file)
        click.echo(NO_EARLIER_RUNS, err=True)
        if output is not None:
            shutil.copyfile(file, output)
        api = submission.Api(endpoint, namespace, token, ca_cert, kube_context)
        client = api.connect()
        run_id = submission.submit(
            client,
            api,
            file,
            run_name=run_name or f"{name} {datetime.datetime.now():%Y-%m-%d %H:%M:%S}",
            experiment_name=experiment_name or name,
            pipeline_root=places.pipeline_root,
            parameters=given,
            service_account=service_account,
        )
    click.echo(f"Run {run_id} of {name}")
    if wait:
        state = submission.wait(client, api, run_id, timeout=timeout, on_state=click.echo)
        sys.exit(_conclude(state, name, run_id, f"{places.pipeline_root}/{name}/{run_id}"))


def _conclude(state: str, pipeline: str, run_id: str, folder: str) -> int:
    """Tell how a run ended, with what it left in its folder; returns the exit code."""
    with noise_to(Path(os.devnull)):
        from components.verdict.executor import find
        from components.verdict.message import FinalStatus, describe
        from components.verdict.run_folder import RunFolder
        from pipeline.runners.kubeflow.submission import ended

        if ended(state):
            found = find(RunFolder(folder))
            text = describe(FinalStatus(state=state), found, pipeline=pipeline, run_id=run_id)
    if not ended(state):
        click.echo(f"The run is not over: {state}. It goes on.", err=True)
        return EXIT_FAILURE
    click.echo(text)
    if state != "SUCCEEDED":
        return EXIT_FAILURE
    return EXIT_NOT_BLESSED if found.verdict is not None and not found.verdict.blessed else 0
