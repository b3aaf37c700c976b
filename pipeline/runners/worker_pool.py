"""A pool of Beam's Python workers that open every store which this project opens.

    python -m pipeline.runners.worker_pool --service_port=50000

One stands beside each worker of a Flink or Spark cluster (`environment: external`), and starts a
process for each Python worker that the cluster asks it for. Beam's own pool
(`apache_beam.runners.worker.worker_pool_main`) does so, too, but its workers import nothing: they
would not know s3://, minio:// and hdfs://, and be whichever `python` is first on the path.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import traceback
from types import FrameType
from typing import Any

from apache_beam.portability.api import beam_fn_api_pb2
from apache_beam.runners.worker.worker_pool_main import BeamFnExternalWorkerPoolServicer


class WorkerPool(BeamFnExternalWorkerPoolServicer):
    """Beam's service, whose workers are `pipeline.runners.worker`."""

    def StartWorker(  # noqa: N802 (the service's name)
        self, start_worker_request: beam_fn_api_pb2.StartWorkerRequest, unused_context: Any
    ) -> beam_fn_api_pb2.StartWorkerResponse:
        """Start a process that asks a cluster for work; what it cannot start is told to it."""
        worker = start_worker_request.worker_id
        command = [
            *(sys.executable, "-m", "pipeline.runners.worker"),
            f"--control_endpoint={start_worker_request.control_endpoint.url}",
            f"--id={worker}",
        ]
        try:
            # Where Beam looks for what it has to end.
            self._worker_processes[worker] = subprocess.Popen(command)
        except OSError:
            return beam_fn_api_pb2.StartWorkerResponse(error=traceback.format_exc())
        return beam_fn_api_pb2.StartWorkerResponse()


def main() -> None:
    """Serve until ended, and end the workers then."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--service_port", type=int, required=True, help="where it listens")
    port = parser.parse_args().service_port
    # Beam ends the workers when the interpreter exits, which it would not of a signal.
    signal.signal(signal.SIGTERM, _exit)
    # Whoever lets go of the server ends it.
    _, server = WorkerPool.start(use_process=True, port=port)
    server.wait_for_termination()


def _exit(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


if __name__ == "__main__":
    main()
