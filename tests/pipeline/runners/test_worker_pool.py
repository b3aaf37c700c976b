"""The pool of Beam's workers: processes of this Python, which end with it."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from apache_beam.portability.api import beam_fn_api_pb2, beam_fn_api_pb2_grpc, endpoints_pb2

from tests.beam import services


@pytest.fixture
def cluster() -> Iterator[str]:
    """What a worker asks for work, and which has none."""
    with socket.create_server(("localhost", 0)) as listener:
        yield f"localhost:{listener.getsockname()[1]}"


def children(process: int) -> list[int]:
    tasks = Path(f"/proc/{process}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def is_running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_workers_are_this_python_and_end_with_their_pool(cluster: str, tmp_path: Path) -> None:
    port = services.free_port()
    command = ["pipeline.runners.worker_pool", f"--service_port={port}"]
    with services.process(command, tmp_path / "pool.log") as pool:
        services.wait_for(lambda: services.is_open(port), "the pool")
        with grpc.insecure_channel(f"localhost:{port}") as channel:
            answer = beam_fn_api_pb2_grpc.BeamFnExternalWorkerPoolStub(channel).StartWorker(
                beam_fn_api_pb2.StartWorkerRequest(
                    worker_id="one",
                    control_endpoint=endpoints_pb2.ApiServiceDescriptor(url=cluster),
                )
            )
        assert not answer.error
        (worker,) = children(pool.pid)
        # Empty until the child has become what it is to be.
        line = Path(f"/proc/{worker}/cmdline")
        services.wait_for(lambda: bool(line.read_text()), "the worker")
        started = line.read_text().split("\0")
        assert started[:3] == [sys.executable, "-m", "pipeline.runners.worker"]
        assert f"--control_endpoint={cluster}" in started
        os.kill(pool.pid, signal.SIGTERM)
        assert pool.wait(30) == 0
        assert not is_running(worker)
