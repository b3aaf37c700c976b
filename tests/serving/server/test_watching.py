"""What was answered is measured for the request log."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

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
