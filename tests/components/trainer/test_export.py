"""The exported model, asked as a stranger would ask it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import expit, logit

from components.trainer import calibration, export
from components.transform.preprocessing import preprocess
from tests.components.trainer.conftest import Trained
from tests.components.trainer.samples import SIDE, image_of

# Runs with nothing but TensorFlow: no module of this project, no TFX, no Keras model code.
STRANGER = """
import sys
for module in ("components", "pipeline", "serving", "tfx", "tensorflow_transform", "tfx_bsl"):
    sys.modules[module] = None
import json
import tensorflow as tf
model = tf.saved_model.load(sys.argv[1])
image = open(sys.argv[2], "rb").read()
answer = model.signatures["serving_default"](image_bytes=tf.constant([image]))
print(json.dumps({"probability": float(answer["probability"][0]),
                  "decision": int(answer["decision"][0]),
                  "label": answer["label"][0].numpy().decode()}))
"""


@pytest.fixture(scope="module")
def served(trained: Trained) -> Any:
    return tf.saved_model.load(str(trained.model_dir))


@pytest.fixture(scope="module")
def images(trained: Trained) -> list[bytes]:
    return [image_of(film) for film in trained.films[40:]]


@pytest.fixture(scope="module")
def answer(served: Any, images: list[bytes]) -> dict[str, np.ndarray]:
    answer = served.signatures["serving_default"](image_bytes=tf.constant(images))
    return {name: value.numpy() for name, value in answer.items()}


def test_it_answers_as_the_contract_says(
    answer: dict[str, np.ndarray], images: list[bytes]
) -> None:
    assert {name: (value.dtype.kind, value.shape) for name, value in answer.items()} == {
        "probability": ("f", (len(images),)),
        "decision": ("i", (len(images),)),
        "label": ("O", (len(images),)),
    }
    assert answer["decision"].dtype == np.int64
    assert 0 < answer["decision"].sum() < len(images)


def test_examples_and_images_get_the_same_answer(
    trained: Trained, served: Any, answer: dict[str, np.ndarray]
) -> None:
    serialized = [film.SerializeToString() for film in trained.films[40:]]

    other = served.signatures["serving_examples"](examples=tf.constant(serialized))

    assert other.keys() == answer.keys()
    np.testing.assert_allclose(other["probability"], answer["probability"], atol=1e-5)
    np.testing.assert_array_equal(other["decision"], answer["decision"])
    np.testing.assert_array_equal(other["label"], answer["label"])


def test_one_image_gets_the_answer_that_it_gets_in_a_batch(
    served: Any, answer: dict[str, np.ndarray], images: list[bytes]
) -> None:
    alone = served.signatures["serving_default"](image_bytes=tf.constant(images[:1]))

    np.testing.assert_allclose(alone["probability"][0], answer["probability"][0], atol=1e-5)


def test_it_is_the_keras_model_and_the_contract(
    trained: Trained, answer: dict[str, np.ndarray], images: list[bytes]
) -> None:
    classifier = keras.models.load_model(trained.keras_file)
    contract = trained.contract

    scores = classifier.predict(preprocess(tf.constant(images), SIDE), verbose=0)[:, 0]
    line = contract["calibration"]
    expected = expit(line["slope"] * logit(scores.astype(np.float64)) + line["intercept"])

    np.testing.assert_allclose(answer["probability"], expected, atol=1e-5)
    decisions = (expected >= contract["operating_point"]["threshold"]).astype(int)
    np.testing.assert_array_equal(answer["decision"], decisions)
    names = [contract["class_names"][decision].encode() for decision in decisions]
    assert answer["label"].tolist() == names


def test_it_runs_without_this_project(
    trained: Trained, answer: dict[str, np.ndarray], images: list[bytes], tmp_path: Path
) -> None:
    film = tmp_path / "film.png"
    film.write_bytes(images[1])

    done = subprocess.run(
        [sys.executable, "-I", "-c", STRANGER, str(trained.model_dir), str(film)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["probability"] == pytest.approx(float(answer["probability"][1]), abs=1e-5)
    assert told["decision"] == answer["decision"][1]
    assert told["label"] == answer["label"][1].decode()


def test_the_contract_says_what_one_must_know(trained: Trained) -> None:
    contract = trained.contract

    assert contract["class_names"] == ["normal", "pneumonia"]
    assert contract["backbone"] == "DenseNet121"
    assert contract["image_size"] == SIDE
    assert f"{SIDE}x{SIDE}" in contract["preprocessing"]
    assert len(contract["weights_sha256"]) == 64
    assert contract["calibration"]["method"] == "platt"
    assert contract["operating_point"]["chosen_by"] == "sensitivity 0.9 on validation"
    assert contract["operating_point"]["sensitivity"] >= 0.9
    assert contract["training"]["images"] == {
        "train": {"normal": 20, "pneumonia": 20},
        "val": {"normal": 12, "pneumonia": 12},
    }
    assert "Not a diagnostic device" in contract["intended_use"]


# --- Decisions, on a classifier that can be steered ------------------------------------------


@pytest.fixture
def ask(small_backbone: keras.Model) -> Callable[[float, float], dict[str, list[Any]]]:
    """Answers to logits -1, 0 and 1, sent in as images, at a slope and a threshold."""
    image = keras.Input((1, 1, 3))
    value = keras.layers.GlobalAveragePooling2D()(image)
    total = keras.layers.Dense(1, kernel_initializer="ones", use_bias=False)(value)
    classifier = keras.Model(image, keras.layers.Activation("sigmoid", name="score")(total))

    class Numbers(tf.Module):
        def __call__(self, features: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
            number = tf.strings.to_number(features["image/encoded"]) / 3
            return {"image": tf.reshape(number, [-1, 1, 1, 1]) * tf.ones([1, 1, 1, 3])}

    def answers(slope: float, threshold: float) -> dict[str, list[Any]]:
        module = export.ServingModule(
            classifier,
            Numbers(),
            calibration.Calibration(slope, 0.0, "platt"),
            calibration.OperatingPoint(threshold, "by hand", 1.0, 1.0, 1, 1),
        )
        answer = module.serving_default(tf.constant(["-1", "0", "1"]))
        return {name: value.numpy().tolist() for name, value in answer.items()}

    return answers


def test_the_threshold_itself_is_positive(
    ask: Callable[[float, float], dict[str, list[Any]]],
) -> None:
    answer = ask(1.0, 0.5)

    assert answer["decision"] == [0, 1, 1]
    assert answer["label"] == [b"normal", b"pneumonia", b"pneumonia"]
    assert ask(1.0, 0.51)["decision"] == [0, 0, 1]


def test_extreme_scores_are_calibrated_before_they_saturate(
    ask: Callable[[float, float], dict[str, list[Any]]],
) -> None:
    assert ask(0.5, 0.5)["probability"] == pytest.approx(expit([-0.5, 0, 0.5]).tolist(), abs=1e-6)


def test_a_contract_is_strict_json_even_without_a_class(tmp_path: Path) -> None:
    point = calibration.choose_operating_point(np.array([0.2, 0.7]), np.array([1, 1]), 0.9)
    export.ModelContract(
        class_names=("normal", "pneumonia"),
        backbone="DenseNet121",
        weights="none",
        weights_sha256="0" * 64,
        image_size=SIDE,
        preprocessing="grey",
        calibration=calibration.Calibration(1.0, 0.0, "none"),
        operating_point=point,
        code="0" * 16,
        training={},
    ).save(tmp_path)

    text = (tmp_path / export.CONTRACT).read_text("utf-8")
    assert json.loads(text)["operating_point"]["specificity"] is None
    assert "NaN" not in text
