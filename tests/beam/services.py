"""What Beam's portable runners need beside a pipeline: job services and worker pools, as processes
of their own."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from pathlib import Path
from typing import TypeVar

import grpc
from apache_beam.portability.api import beam_fn_api_pb2_grpc

REPOSITORY = Path(__file__).parents[2]
# Of a worker that imports TensorFlow and TFX, on a busy machine.
STARTS_WITHIN = 120.0

Result = TypeVar("Result")


def within(seconds: float, work: Callable[[], Result]) -> Result:
    """Do something that may hang: a job whose workers died is never told of it.

    Raises:
      TimeoutError: if it takes longer.
    """
    done: futures.Future[Result] = futures.Future()

    def run() -> None:
        try:
            done.set_result(work())
        except BaseException as error:
            done.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return done.result(timeout=seconds)


@contextlib.contextmanager
def job_service(folder: Path) -> Iterator[str]:
    """Beam's own job service in Python; yields its address."""
    port = folder / "port"
    command = ["apache_beam.runners.portability.local_job_service_main", f"--port_file={port}"]
    with process(command, folder / "job_service.log"):
        wait_for(port.exists, "the job service's port")
        yield f"localhost:{port.read_text()}"


@contextlib.contextmanager
def worker_pools(module: str, folder: Path, pools: int) -> Iterator[list[str]]:
    """Processes of a module that takes `--service_port`, and starts workers when asked; yields
    their addresses."""
    ports = [free_port() for _ in range(pools)]
    with contextlib.ExitStack() as started:
        for port in ports:
            command = [module, f"--service_port={port}"]
            started.enter_context(process(command, folder / f"pool_{port}.log"))
        for port in ports:
            wait_for(lambda port=port: is_open(port), f"{module} on port {port}")  # type: ignore[misc]
        yield [f"localhost:{port}" for port in ports]


@contextlib.contextmanager
def process(module: Sequence[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A Python module as a process, with its arguments; what it says goes to a file."""
    environment = os.environ | {
        # Beam's worker pool starts `python`, whichever that is.
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": str(REPOSITORY),
    }
    with log.open("wb") as output:
        started = subprocess.Popen(
            [sys.executable, "-m", *module],
            env=environment,
            cwd=REPOSITORY,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        with ended(started):
            yield started


@contextlib.contextmanager
def ended(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Has a process end afterwards: by itself when it is asked to, or killed."""
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def in_turns(pools: Sequence[str]) -> Iterator[str]:
    """One address for several worker pools, which are asked in turns; yields it.

    Beside each of Flink's task managers there is a pool, at the same local address. On one machine
    somebody has to stand for them all.
    """
    server = grpc.server(futures.ThreadPoolExecutor(4))
    port = server.add_insecure_port("localhost:0")
    beam_fn_api_pb2_grpc.add_BeamFnExternalWorkerPoolServicer_to_server(_InTurns(pools), server)
    server.start()
    try:
        yield f"localhost:{port}"
    finally:
        server.stop(0)


class _InTurns(beam_fn_api_pb2_grpc.BeamFnExternalWorkerPoolServicer):
    def __init__(self, pools: Sequence[str]):
        self._pools = [
            beam_fn_api_pb2_grpc.BeamFnExternalWorkerPoolStub(grpc.insecure_channel(pool))
            for pool in pools
        ]
        self._asked = 0

    def StartWorker(self, request, context):  # noqa: N802 (the service's name)
        pool = self._pools[self._asked % len(self._pools)]
        self._asked += 1
        return pool.StartWorker(request)

    def StopWorker(self, request, context):  # noqa: N802
        for pool in self._pools:
            answer = pool.StopWorker(request)
        return answer


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("localhost", 0))
        return int(listener.getsockname()[1])


def is_open(port: int) -> bool:
    """Whether somebody listens on a port of this machine."""
    with socket.socket() as asking:
        asking.settimeout(1)
        return asking.connect_ex(("localhost", port)) == 0


def wait_for(ready: Callable[[], bool], what: str) -> None:
    """Wait until something is there.

    Raises:
      TimeoutError: names what did not come.
    """
    deadline = time.monotonic() + STARTS_WITHIN
    while not ready():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} is not there after {STARTS_WITHIN:.0f} s")
        time.sleep(0.1)
