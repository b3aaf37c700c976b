"""Models of a second, and servers of them on free ports."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import requests
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from serving.server.config import ServerConfig
from serving.server.embedded import EmbeddedServer
from tests.serving.conformance.models import export_half_plus, export_toy
from tests.serving.tiny_model import export_tiny_model

Serve = Callable[..., EmbeddedServer]


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """plus_1 and plus_2, toy, busy and tiny: versions to be copied where a test wants them."""
    folder = tmp_path_factory.mktemp("exported")
    for offset in (1, 2):
        export_half_plus(folder / f"plus_{offset}", float(offset))
    export_toy(folder / "toy")
    export_busy(folder / "busy")
    export_tiny_model(folder / "tiny")
    return folder


def export_busy(version_dir: Path) -> None:
    """Multiplies matrices so often as it is asked, some hundred microseconds each time."""

    class Busy(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.int32, name="rounds")])
        def serve(self, rounds: tf.Tensor) -> dict[str, tf.Tensor]:
            matrix = tf.random.stateless_uniform([256, 256], [1, 2]) / 256
            for _ in tf.range(tf.reduce_sum(rounds)):
                matrix = tf.matmul(matrix, matrix)
            return {"rounds": rounds + tf.cast(matrix[0, 0] * 0, tf.int32)}

    model = Busy()
    tf.saved_model.save(model, str(version_dir), signatures={"serving_default": model.serve})


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Starts servers of tmp_path / "models", which polls fast; stops them in the end."""
    with ExitStack() as stack:

        def start(**settings: Any) -> EmbeddedServer:
            if "model_config_file" not in settings:
                settings.setdefault("model_name", "m")
                settings.setdefault("model_base_path", str(tmp_path / "models"))
            defaults = {
                "port": 0,
                "rest_api_port": 0,
                "file_system_poll_wait_seconds": 0.05,
                "load_retry_interval_micros": 20_000,
                "max_num_load_retries": 1,
                "grace_seconds": 5.0,
            }
            return stack.enter_context(EmbeddedServer(ServerConfig(**{**defaults, **settings})))

        yield start


def rest(server: EmbeddedServer, path: str = "", body: Any = None, **options: Any) -> Any:
    """GETs or POSTs /v1/models/m...; the response."""
    url = f"http://127.0.0.1:{server.rest_port}/v1/models/m{path}"
    if body is None:
        return requests.get(url, timeout=30, **options)
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return requests.post(url, data=data, timeout=30, **options)


def answer(server: EmbeddedServer, path: str = "") -> float | str:
    """What half_plus makes of 0: its offset; or the error."""
    found = rest(server, f"{path}:predict", {"instances": [0]}).json()
    return found["predictions"][0] if "predictions" in found else found["error"]


def states(server: EmbeddedServer) -> dict[int, str]:
    """The states of the versions."""
    found = rest(server).json().get("model_version_status", [])
    return {int(one["version"]): one["state"] for one in found}


def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    """Waits for a condition, and fails without it."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def stub_of(server: EmbeddedServer) -> Any:
    channel = grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}")
    return prediction_service_pb2_grpc.PredictionServiceStub(channel)


def request_of(**inputs: Any) -> predict_pb2.PredictRequest:
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "m"
    for name, value in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    return request


def busy_request(rounds: int) -> predict_pb2.PredictRequest:
    return request_of(rounds=np.int32([rounds]))
