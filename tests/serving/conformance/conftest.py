"""The server that the conformance suite asks: the embedded one, or CXR_SERVING_ENDPOINT's."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
import requests

from tests.serving.conformance import models

# What comes back of an RPC: the message, or the error.
Ask = Callable[..., Any]


@dataclass(frozen=True)
class Endpoint:
    """Attributes: host, gRPC's and REST's port, and the models' folder as the server sees it."""

    host: str
    grpc_port: int
    rest_port: int
    models: str | None
    is_embedded: bool

    @property
    def grpc(self) -> str:
        return f"{self.host}:{self.grpc_port}"

    @property
    def rest(self) -> str:
        return f"http://{self.host}:{self.rest_port}"


@pytest.fixture(scope="session")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    if address := os.environ.get("CXR_SERVING_ENDPOINT"):
        host, grpc_port, rest_port = address.rsplit(":", 2)
        folder = os.environ.get("CXR_SERVING_MODELS")
        yield Endpoint(host, int(grpc_port), int(rest_port), folder, is_embedded=False)
        return
    from serving.server.config import ServerConfig
    from serving.server.embedded import EmbeddedServer

    folder = tmp_path_factory.mktemp("conformance")
    config = models.export_all(Path(folder))
    settings = ServerConfig(model_config_file=config, port=0, rest_api_port=0)
    with EmbeddedServer(settings) as server:
        assert server.rest_port
        yield Endpoint("127.0.0.1", server.grpc_port, server.rest_port, str(folder), True)


@pytest.fixture(scope="session")
def channel(endpoint: Endpoint) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(endpoint.grpc) as channel:
        yield channel


@pytest.fixture(scope="session")
def predictions(channel: grpc.Channel) -> Any:
    from tensorflow_serving.apis import prediction_service_pb2_grpc

    return prediction_service_pb2_grpc.PredictionServiceStub(channel)


@pytest.fixture(scope="session")
def model_service(channel: grpc.Channel) -> Any:
    from tensorflow_serving.apis import model_service_pb2_grpc

    return model_service_pb2_grpc.ModelServiceStub(channel)


@pytest.fixture(scope="session")
def post(endpoint: Endpoint) -> Iterator[Ask]:
    """POSTs a body, JSON unless it is bytes, to a path below /v1/models/."""
    with requests.Session() as session:

        def ask(path: str, body: Any, **options: Any) -> requests.Response:
            given = {"data": body} if isinstance(body, bytes) else {"json": body}
            url = f"{endpoint.rest}/v1/models/{path}"
            return session.post(url, timeout=30, **given, **options)

        yield ask


@pytest.fixture(scope="session")
def get(endpoint: Endpoint) -> Iterator[Ask]:
    """GETs a path."""
    with requests.Session() as session:
        yield lambda path: session.get(f"{endpoint.rest}{path}", timeout=30)
