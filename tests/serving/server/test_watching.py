"""What was answered is measured for the request log."""

import json
import re
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from serving.server import watching
from tests.serving.server.conftest import Serve, request_of, rest, stub_of
from tests.serving.tiny_model import encoded_image


@pytest.fixture(scope="module")
def measuring(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose probability, and whose scalar `size`, is a string's length by a hundred."""
    version = tmp_path_factory.mktemp("measuring") / "1"
    spec = tf.TensorSpec([None], tf.string, name="image_bytes")

    class Measuring(tf.Module):
        @tf.function(input_signature=[spec])
        def serve(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"probability": tf.cast(tf.strings.length(image_bytes), tf.float32) / 100}

        @tf.function(input_signature=[spec])
        def measure(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"size": tf.cast(tf.strings.length(image_bytes), tf.float32)}

    model = Measuring()
    signatures = {"serving_default": model.serve, "measure": model.measure}
    tf.saved_model.save(model, str(version), signatures=signatures)
    return version.parent


def test_scalars_and_scores_of_both_protocols(
    serve: Serve, measuring: Path, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    server = serve(model_base_path=str(measuring), request_log_dir=log)
    images = [b"x" * 10, b"x" * 25]
    stub_of(server).Predict(request_of(image_bytes=images), timeout=10)
    rest(server, ":predict", {"instances": ["x" * 50]})
    server.stop()

    (file,) = log.iterdir()
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["values"] for line in lines] == [
        {"size": 10, "probability": 0.1},
        {"size": 25, "probability": 0.25},
        {"size": 50, "probability": 0.5},
    ]
    assert {(line["model"], line["version"]) for line in lines} == {("m", 1)}
    assert "xxx" not in file.read_text()


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that cannot measure letters, and whose `scalar` has one probability for all."""
    version = tmp_path_factory.mktemp("odd") / "1"
    spec = tf.TensorSpec([None], tf.string, name="image_bytes")

    class Odd(tf.Module):
        @tf.function(input_signature=[spec])
        def serve(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"probability": tf.cast(tf.strings.length(image_bytes), tf.float32) / 100}

        @tf.function(input_signature=[spec])
        def scalar(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"probability": tf.cast(tf.size(image_bytes), tf.float32)}

        @tf.function(input_signature=[spec])
        def measure(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"number": tf.strings.to_number(image_bytes)}

    model = Odd()
    signatures = {"serving_default": model.serve, "scalar": model.scalar, "measure": model.measure}
    tf.saved_model.save(model, str(version), signatures=signatures)
    return version.parent


def dropped(log: Path) -> int:
    (file,) = log.iterdir()
    return sum(json.loads(line).get("dropped", 0) for line in file.read_text().splitlines())


def test_what_cannot_be_measured_is_answered_and_told(
    serve: Serve, odd: Path, tmp_path: Path
) -> None:
    server = serve(model_base_path=str(odd), request_log_dir=tmp_path / "log")
    body = {"instances": ["x", "xx"]}
    assert np.round(rest(server, ":predict", body).json()["predictions"], 2).tolist() == [
        0.01,
        0.02,
    ]
    request = request_of(image_bytes=[b"x"])
    request.model_spec.signature_name = "scalar"
    response = stub_of(server).Predict(request, timeout=10)
    assert response.outputs["probability"].float_val == [1]
    server.stop()
    assert dropped(tmp_path / "log") == 3


def test_what_has_no_room_and_what_waits_at_the_end_is_told(
    serve: Serve, measuring: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken, free = threading.Event(), threading.Event()

    def hang(*_: Any) -> None:
        taken.set()
        free.wait(20)

    monkeypatch.setattr(watching, "_WAITING", 1)
    monkeypatch.setattr(watching.Watcher, "_measure", hang)
    server = serve(model_base_path=str(measuring), request_log_dir=tmp_path / "log")
    rest(server, ":predict", {"instances": ["x"]})
    assert taken.wait(10)
    rest(server, ":predict", {"instances": ["waits"]})
    rest(server, ":predict", {"instances": ["has no room", "has none either"]})
    start = time.monotonic()
    server.stop(0.3)
    assert time.monotonic() - start < 5
    free.set()
    assert dropped(tmp_path / "log") == 3


def test_models_that_cannot_measure_are_served_all_the_same(
    serve: Serve, exported: Path, tmp_path: Path
) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "1").symlink_to(exported / "tiny")
    server = serve(request_log_dir=tmp_path / "log")
    response = stub_of(server).Predict(request_of(image_bytes=[encoded_image(255)]), timeout=10)
    assert np.round(response.outputs["probability"].float_val, 2) == [0.95]
    server.stop()
    assert not re.search(
        "probability", "".join(p.read_text() for p in (tmp_path / "log").iterdir())
    )
