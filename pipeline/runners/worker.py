"""One of Beam's Python workers, as `worker_pool` starts it."""

from __future__ import annotations

import argparse

from apache_beam.runners.worker.sdk_worker import SdkHarness

# Registers this project's file systems with Beam, before a step asks for one.
import components  # noqa: F401


def main() -> None:
    """Work until the cluster needs no more of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--control_endpoint", required=True, help="host:port that gives work")
    parser.add_argument("--id", required=True, help="the worker's name there")
    arguments = parser.parse_args()
    # Both as Beam's own pool has them.
    SdkHarness(
        arguments.control_endpoint,
        worker_id=arguments.id,
        state_cache_size=0,
        data_buffer_time_limit_ms=-1,
    ).run()


if __name__ == "__main__":
    main()
