"""The exported model's explanations."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_transform as tft

from components.explanation.maps import Explainer
from components.explanation.overlay import draw_overlays
from components.trainer.calibration import Calibration
from components.trainer.classifier import build_classifier, build_head
from components.trainer.explaining import most_above
from components.trainer.operating_point import OperatingPoint
from components.trainer.outputs import Output
from components.trainer.serving_module import Answers
from components.transform.preprocessing import preprocess
from tests.components.trainer.conftest import Trained
from tests.components.trainer.samples import SIDE, image_of, serve

FINDINGS = ("Effusion", "Hernia", "Pneumonia")


@pytest.fixture(scope="module")
def films(trained: Trained) -> tf.Tensor:
    """The validation split."""
    return tf.constant([image_of(film) for film in trained.films[40:]])


@pytest.fixture(scope="module")
def maps(trained: Trained, films: tf.Tensor) -> np.ndarray:
    """By the Keras model that lies beside the export."""
    explainer = Explainer(keras.models.load_model(trained.keras_file))
    return explainer(preprocess(films, SIDE))[1].numpy()


@pytest.fixture(scope="module")
def answer(trained: Trained, films: tf.Tensor) -> dict[str, np.ndarray]:
    served = tf.saved_model.load(str(trained.model_dir))
    answer = served.signatures["explain"](image_bytes=films)
    default = served.signatures["serving_default"](image_bytes=films)
    for name, value in default.items():
        np.testing.assert_array_equal(answer[name], value)
    return {name: value.numpy() for name, value in answer.items() if name not in default}


def test_it_answers_with_maps_and_overlays(answer: dict[str, np.ndarray], maps: np.ndarray) -> None:
    assert answer.keys() == {"heatmap", "overlay_png_bytes"}
    assert answer["heatmap"].dtype == np.float32
    assert maps.max() > 0
    np.testing.assert_allclose(answer["heatmap"], maps[:, 0], rtol=0, atol=1e-4 * maps.max())


def test_the_scale_is_that_of_the_validation_films(trained: Trained, maps: np.ndarray) -> None:
    explanation = trained.contract["explanation"]

    (reference,) = explanation.pop("references")
    assert reference == pytest.approx(np.percentile(maps, 99), rel=1e-4)
    assert explanation == {
        "method": "grad_cam",
        "layer": "",
        "grid": list(maps.shape[2:]),
        "opacity": 0.6,
        "unit": "logit",
    }


def test_every_film_is_drawn_on_that_scale(
    trained: Trained, answer: dict[str, np.ndarray], films: tf.Tensor
) -> None:
    (reference,) = trained.contract["explanation"]["references"]
    heat = np.clip(answer["heatmap"] / reference, 0, 1)

    expected = draw_overlays(films, preprocess(films, SIDE), heat, opacity=0.6).numpy()

    drawn, again = (
        np.stack([tf.io.decode_png(png).numpy() for png in pngs]).astype(int)
        for pngs in (answer["overlay_png_bytes"], expected)
    )
    assert drawn.shape == (len(films), 80, 96, 3)
    assert np.abs(drawn - again).max() <= 2


Serve = Callable[..., tuple[keras.Model, dict[str, np.ndarray]]]


@pytest.fixture
def explain(
    transform_graph: Path, small_backbone: keras.Model, films: tf.Tensor, tmp_path: Path
) -> Serve:
    """A multi-label classifier of random weights, and what its export answers."""

    def explain(precision: str = "float32", **how: Any) -> tuple[keras.Model, dict]:
        keras.utils.set_random_seed(1)
        head = build_head(8, units=4, dropout=0.0, l2=0.0, outputs=3)
        classifier = build_classifier(small_backbone, head)
        layer = tft.TFTransformOutput(str(transform_graph)).transform_features_layer()
        point = OperatingPoint(0.5, "by hand", None, None, 0, 0)
        outputs = tuple(Output(name, Calibration("none"), point) for name in FINDINGS)
        module = serve(
            classifier, layer, Answers("multilabel", FINDINGS, outputs), precision, **how
        )
        module.save(str(tmp_path))
        served = tf.saved_model.load(str(tmp_path)).signatures["explain"](image_bytes=films)
        return classifier, {name: value.numpy() for name, value in served.items()}

    return explain


def test_a_multilabel_model_has_a_map_of_each_finding_and_draws_one(
    explain: Serve, films: tf.Tensor
) -> None:
    images = preprocess(films, SIDE)
    references = (0.2, 0.1, 0.3)

    classifier, answer = explain(references=references, method="grad_cam_plus_plus")

    _, maps = Explainer(classifier, method="grad_cam_plus_plus")(images)
    tolerance = 1e-4 * float(tf.reduce_max(maps))
    np.testing.assert_allclose(answer["heatmap"], maps, rtol=0, atol=tolerance)
    shown = answer["probability"].argmax(axis=1)  # all are decided at 0.5
    assert answer["explained"].tolist() == [FINDINGS[k].encode() for k in shown]
    one = answer["heatmap"][range(len(shown)), shown]
    heat = np.clip(one / np.array(references, np.float32)[shown, None, None], 0, 1)
    assert heat.max() > 0
    again = draw_overlays(films, images, heat, opacity=0.6).numpy()
    for png, expected in zip(answer["overlay_png_bytes"], again, strict=True):
        found = tf.io.decode_png(png).numpy().astype(int)
        assert np.abs(found - tf.io.decode_png(expected).numpy()).max() <= 2


def test_in_bfloat16_maps_are_close(explain: Serve, films: tf.Tensor) -> None:
    classifier, answer = explain("bfloat16", method="hires_cam")

    _, maps = Explainer(classifier, method="hires_cam")(preprocess(films, SIDE))

    error = np.abs(answer["heatmap"] - maps).max()
    assert 0 < error < 0.1 * float(tf.reduce_max(maps))


def test_what_nothing_speaks_for_is_drawn_without_heat(explain: Serve) -> None:
    _, answer = explain(references=(0.0, 0.0, 0.0))

    for png in answer["overlay_png_bytes"]:
        assert not np.ptp(tf.io.decode_png(png).numpy(), axis=-1).any()


def test_the_finding_shown_is_the_one_furthest_above_its_operating_point_in_odds() -> None:
    probability = tf.constant([[0.50, 0.10, 0.90], [0.50, 0.02, 0.10], [1.0, 0.0, 0.5]])

    # Ten times the odds of a rare finding are more than twice those of a frequent one.
    assert most_above(probability, [0.5, 0.01, 0.85]).numpy().tolist() == [1, 1, 0]
