"""Golden outputs: the trained network's own, which what is served must repeat."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from components.trainer.calibration import Calibration
from components.trainer.classifier import build_classifier, build_head
from components.trainer.golden import GOLDEN, write_golden
from components.trainer.operating_point import OperatingPoint
from components.trainer.outputs import Output
from components.trainer.serving_module import Answers
from components.trainer.warmup import warmup_films
from components.transform.preprocessing import preprocess
from tests.components.trainer.conftest import Chests, Trained
from tests.components.trainer.samples import SIDE


def test_what_is_served_repeats_them(trained: Trained) -> None:
    golden = json.loads((trained.model_dir / GOLDEN).read_text("utf-8"))
    films = [base64.b64decode(one) for one in golden["images"]]
    served = tf.saved_model.load(str(trained.model_dir))

    answer = served.signatures[golden["signature"]](image_bytes=tf.constant(films))

    outputs = golden["outputs"]
    assert golden["tolerance"] == 1e-3
    np.testing.assert_allclose(answer["probability"], outputs["probability"], atol=1e-5)
    assert len(set(outputs["probability"])) == len(films)
    assert answer["decision"].numpy().tolist() == outputs["decision"]
    assert [one.decode() for one in answer["label"].numpy()] == outputs["label"]


def test_no_patients_image_is_among_them(trained: Trained) -> None:
    golden = json.loads((trained.model_dir / GOLDEN).read_text("utf-8"))

    assert [base64.b64decode(one) for one in golden["images"]] == warmup_films()


def test_another_models_answers_are_told_apart(trained: Trained, chests: Chests) -> None:
    golden = json.loads((trained.model_dir / GOLDEN).read_text("utf-8"))
    films = [base64.b64decode(one) for one in golden["images"]]
    other = tf.saved_model.load(str(chests.model_dir))

    answer = other.signatures["serving_default"](image_bytes=tf.constant(films))["probability"]

    assert np.abs(answer.numpy() - golden["outputs"]["probability"]).max() > golden["tolerance"]


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-3), ("bfloat16", 0.1)])
def test_of_several_findings_each_has_its_value(
    small_backbone: keras.Model, tmp_path: Path, precision: str, tolerance: float
) -> None:
    names = ("Effusion", "Hernia")
    outputs = tuple(
        Output(name, Calibration("platt", slope=slope), OperatingPoint(0.5, "", None, None, 0, 0))
        for name, slope in zip(names, (1.0, -2.0), strict=True)
    )
    classifier = build_classifier(
        small_backbone, build_head(8, units=4, dropout=0.0, l2=0.0, outputs=2)
    )
    write_golden(
        tmp_path,
        classifier,
        lambda encoded: preprocess(encoded, SIDE),
        Answers("multilabel", names, outputs),
        precision,
    )

    golden = json.loads((tmp_path / GOLDEN).read_text("utf-8"))
    scores = classifier.predict(preprocess(tf.constant(warmup_films()), SIDE), verbose=0)
    logits = np.log(scores) - np.log1p(-scores)
    expected = 1 / (1 + np.exp(-logits * [1.0, -2.0]))
    assert golden["tolerance"] == tolerance
    np.testing.assert_allclose(golden["outputs"]["probability"], expected, atol=1e-4)
    assert golden["outputs"]["decision"] == (expected >= 0.5).astype(int).tolist()
    assert golden["outputs"]["label"] == [list(names)] * len(expected)
