"""Runners that must give what the direct one gives."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.beam import BeamSettings, beam_args
from pipeline.beam_clusters import FlinkSettings
from tests.beam import flink, services
from tests.components.trainer.conftest import transform_graph

__all__ = ["transform_graph"]

# The flags of a node, by its id.
Flags = Callable[[str], list[str]]

WORKERS = 2


@pytest.fixture(
    scope="module",
    params=["portable-loopback", "portable-external", "flink-local", "flink-session"],
)
def flags(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Flags]:
    """How nodes are told to run on a runner that is there."""
    folder = tmp_path_factory.mktemp(request.param)
    runner = {
        "portable-loopback": portable_loopback,
        "portable-external": portable_external,
        "flink-local": flink_local,
        "flink-session": flink_session,
    }[request.param]
    with runner(folder) as found:
        yield found


@contextlib.contextmanager
def portable_loopback(folder: Path) -> Iterator[Flags]:
    """Beam's job service in Python, and workers in the node's own process."""
    with services.job_service(folder) as endpoint:
        yield portable(FlinkSettings(parallelism=WORKERS), endpoint)


@contextlib.contextmanager
def portable_external(folder: Path) -> Iterator[Flags]:
    """The same, with workers in other processes: one pool for each task manager."""
    with (
        services.job_service(folder) as endpoint,
        _external(folder, "localhost:8081") as settings,
    ):
        yield portable(settings, endpoint)


@contextlib.contextmanager
def flink_local(folder: Path) -> Iterator[Flags]:
    """Flink within Beam's job server."""
    settings = FlinkSettings(parallelism=WORKERS)
    jar = flink.job_server_jar(settings.version)
    yield rendered(settings.model_copy(update={"job_server_jar": jar}))


@contextlib.contextmanager
def flink_session(folder: Path) -> Iterator[Flags]:
    """A session cluster with two task managers, and a worker pool for each."""
    version = FlinkSettings().version
    jar, home = flink.job_server_jar(version), flink.distribution(version)
    with (
        flink.session_cluster(home, folder) as master,
        _external(folder, master) as settings,
    ):
        yield rendered(settings.model_copy(update={"job_server_jar": jar}))


@contextlib.contextmanager
def _external(folder: Path, master: str) -> Iterator[FlinkSettings]:
    with (
        services.worker_pools("tests.beam.pool", folder, WORKERS) as pools,
        services.in_turns(pools) as address,
    ):
        yield FlinkSettings(
            master=master,
            parallelism=WORKERS,
            environment="external",
            worker_pool=address,
            shared_storage=True,
        )


def rendered(settings: FlinkSettings) -> Flags:
    """As the pipeline renders them."""
    beam = BeamSettings(runner="flink", flink=settings)
    return lambda node: beam_args(beam, node=node)


def portable(settings: FlinkSettings, endpoint: str) -> Flags:
    """The same, but for a job service that is there already instead of Flink's."""
    # Of a job that the service knows before it runs, as Beam's own in Python does and Flink's does
    # not, Beam takes the time for the service to start for the job's.
    settings = settings.model_copy(update={"job_server_timeout": 24 * 3600})
    flink_flags = rendered(settings)
    return lambda node: [
        "--runner=PortableRunner",
        f"--job_endpoint={endpoint}",
        f"--direct_num_workers={settings.parallelism}",
        *(
            flag
            for flag in flink_flags(node)
            if not flag.startswith(("--runner=", "--flink_", "--parallelism="))
        ),
    ]
