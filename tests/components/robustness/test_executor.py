"""A real exported model is asked about real films, made worse."""

import logging

import cv2
import numpy as np
import pytest
import tensorflow as tf
from tfx.types import artifact_utils, standard_artifacts

import components
from components import progress
from components.errors import InputError
from components.example_gen import record
from components.robustness import executor
from components.robustness.corruptions import CORRUPTIONS
from components.robustness.figures import Robustness
from components.robustness.settings import RobustnessSettings
from tests import examples
from tests.components.trainer.samples import write_records
from tests.serving.tiny_model import expected_probability, export_tiny_model


def draw_film(number, level, shape=(48, 64)):
    """A film of one mean level; it is as dark on one side as it is bright on the other."""
    film = np.full(shape, level, np.uint8)
    film[:, : shape[1] // 2] -= 20
    film[:, shape[1] // 2 :] += 20
    film[0, 0] = number
    return cv2.imencode(".png", film)[1].tobytes()


def make_example(number, label, dataset="nih", **values):
    shape = ((48, 64), (60, 40))[number % 2]
    level = 160 if label else 80
    return examples.make_example(
        draw_film(number, level, shape), str(number), label, dataset=dataset, **values
    )


def export_of_fourteen(folder):
    """Edema where a film is bright, every other finding where it is dark."""
    sign = np.where(np.array(record.PATHOLOGIES) == "Edema", 6.0, -6.0).astype(np.float32)

    class Model(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
        def serve(self, image_bytes):
            def level(image):
                pixels = tf.io.decode_image(image, channels=1, expand_animations=False)
                return tf.reduce_mean(tf.cast(pixels, tf.float32)) / 255

            levels = tf.map_fn(level, image_bytes, fn_output_signature=tf.float32)
            return {"probability": tf.sigmoid(sign * (levels[:, tf.newaxis] - 0.45))}

    model = Model()
    tf.saved_model.save(model, str(folder), signatures={"serving_default": model.serve})


def run(root, records, export=export_tiny_model, labels="pneumonia", **settings):
    write_records(root / "examples" / "Split-test", records)
    artifact = standard_artifacts.Examples()
    artifact.uri = str(root / "examples")
    artifact.split_names = artifact_utils.encode_split_names(["train", "test"])
    model = standard_artifacts.Model()
    model.uri = str(root / "model")
    export(root / "model" / "Format-Serving")
    written = components.RobustnessReport()
    written.uri = str(root / "report")
    (root / "report").mkdir()
    executor.Executor().Do(
        {"examples": [artifact], "model": [model]},
        {"report": [written]},
        {
            "split": "test",
            "labels": labels,
            "settings": RobustnessSettings(**settings).model_dump_json(exclude={"enabled"}),
            "code": "x",
        },
    )
    return Robustness.model_validate_json((root / "report" / "robustness.json").read_bytes())


@pytest.fixture(scope="module")
def tried(tmp_path_factory):
    records = [
        make_example(number, number % 3 == 0, ("nih", "pediatric")[number // 24])
        for number in range(36)
    ]
    messages = []
    handler = logging.Handler()
    handler.emit = lambda entry: messages.append(str(entry.msg))
    progress.LOGGER.addHandler(handler)
    found = run(tmp_path_factory.mktemp("run"), records, max_images=12, seed=3)
    progress.LOGGER.removeHandler(handler)
    return found, messages


@pytest.fixture
def on_nih(tried):
    return {(one.corruption, one.severity): one for one in tried[0].figures if one.dataset == "nih"}


def test_every_corruption_and_severity_is_tried_on_the_same_films(tried):
    figures = tried[0].figures

    expected = [("none", 0), *((one.name, n) for one in CORRUPTIONS for n in (1, 2, 3))]
    for dataset in ("nih", "pediatric"):
        own = [one for one in figures if one.dataset == dataset]
        assert [(one.corruption, one.severity) for one in own] == expected
        # 24 and 12 films, a third of them with pneumonia.
        assert {(one.n, one.positives) for one in own} == {(12, 4)}


def test_films_as_they_are_give_what_the_model_says_of_them(on_nih):
    untouched = on_nih["none", 0]

    assert untouched.auc == 1.0
    gaps = [1 - expected_probability(160)] * 4 + [expected_probability(80)] * 8
    assert untouched.ece == pytest.approx(np.mean(gaps), abs=0.01)


def test_what_a_corruption_does_to_the_model_is_seen(on_nih):
    untouched = on_nih["none", 0]

    # The model goes by the mean: contrast leaves it as it is, brightness shifts it.
    assert on_nih["contrast", 3].ece == pytest.approx(untouched.ece, abs=0.01)
    brighter = [on_nih["brightness", severity] for severity in (1, 2, 3)]
    level = 80 + 0.3 * 255
    gaps = [1 - expected_probability(160 + 0.3 * 255)] * 4 + [expected_probability(level)] * 8
    assert brighter[2].ece == pytest.approx(np.mean(gaps), abs=0.02)
    assert untouched.ece < brighter[0].ece < brighter[1].ece < brighter[2].ece
    assert brighter[2].auc == 1.0


def test_the_report_says_what_was_done(tried, on_nih):
    found = tried[0]

    assert (found.split, found.seed, found.max_images) == ("test", 3, 12)
    assert found.levels["blur"] == "standard deviation, in pixels of 224"
    assert on_nih["JPEG", 3].level == 7


def test_progress_is_told(tried):
    messages = tried[1]

    assert messages[0] == "24 of 456 films scored, as they are and made worse"
    assert messages[-1] == "456 of 456 films scored, as they are and made worse"


def test_each_finding_of_a_multi_label_model_is_judged_by_its_own_labels(tmp_path):
    records = [
        make_example(
            number,
            edema,
            finding_labels=record.finding_labels(("Edema", "Mass") if edema else (), "findings"),
        )
        for number, edema in enumerate([0, 1] * 4)
    ]

    found = run(tmp_path, records, export_of_fourteen, "findings", severities=1)

    untouched = {one.finding: one for one in found.figures if one.corruption == "none"}
    assert list(untouched) == list(record.PATHOLOGIES)
    assert untouched["Edema"].auc == 1.0
    assert untouched["Mass"].auc == 0.0
    assert untouched["Hernia"].auc is None
    assert {one.severity for one in found.figures} == {0, 1}


def test_an_empty_split_is_an_error_of_the_user(tmp_path):
    with pytest.raises(InputError, match="test has no images"):
        run(tmp_path, [])
