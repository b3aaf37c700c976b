"""The embedded server in a process of its own: what crashes or leaks there stays there.

`python -m components.infra_canary.serve FOLDER MODEL` prints its gRPC port when the model is
loaded, and serves until its standard input ends, which it does with the process that started it.
"""

from __future__ import annotations

import sys

from serving.server.config import ServerConfig
from serving.server.embedded import EmbeddedServer


def main() -> None:
    """Serve the versions in a folder."""
    folder, model = sys.argv[1:]
    config = ServerConfig(
        model_name=model,
        model_base_path=folder,
        port=0,
        rest_api_port=None,
        max_num_load_retries=0,
    )
    with EmbeddedServer(config) as server:
        print(server.grpc_port, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
