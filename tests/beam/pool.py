"""A worker pool whose workers are threads of one process, which imports TensorFlow once for all."""

from __future__ import annotations

import argparse

import tfx.v1  # noqa: F401
from apache_beam.runners.worker.worker_pool_main import BeamFnExternalWorkerPoolServicer


def main() -> None:
    """Serve until ended."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--service_port", type=int, required=True)
    port = parser.parse_args().service_port
    # Whoever lets go of the server ends it.
    _, server = BeamFnExternalWorkerPoolServicer.start(port=port)
    server.wait_for_termination()


if __name__ == "__main__":
    main()
