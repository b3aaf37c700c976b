"""Real artifacts in, a real report out."""

import json
import logging
import re

import cv2
import keras
import numpy as np
import pytest
import tensorflow as tf
from tfx.types import artifact_utils, standard_artifacts

from components import progress
from components.example_gen import record
from components.grad_cam import executor
from components.grad_cam.artifacts import ExplanationReport
from components.trainer import classifier
from tests import examples

SIDE = 32
THRESHOLD = 0.5
SHAPES = [(60, 80), (80, 60), (64, 64), (600, 900)]


def draw_film(number: int, label: int) -> np.ndarray:
    rng = np.random.default_rng(number)
    film = rng.integers(60, 90, SHAPES[number % len(SHAPES)], dtype=np.uint8)
    if label:
        height, width = film.shape
        cv2.circle(film, (width // 5, 4 * height // 5), height // 6, 220, -1)
    return film


def to_example(number: int, label: int, dataset: str) -> tf.train.Example:
    film = draw_film(number, label)
    encoded = cv2.imencode(".png", film)[1].tobytes()
    nih = dataset == "nih"
    return examples.make_example(
        encoded,
        str(number),
        label,
        dataset=dataset,
        filename=f"film <{number}> & ü.png",
        findings=("Pneumonia", "Effusion") if label else ("No Finding",),
        etiology=None if nih else ("bacteria" if label else "none"),
        age_years=40 + number if nih else None,
        sex="F" if nih else None,
        boxes=((0.1, 0.6, 0.3, 0.3), (0.6, 0.6, 0.2, 0.2)) if nih and label else (),
    )


def examples_artifact(root, records):
    split = root / "Split-test"
    split.mkdir(parents=True)
    for shard in range(2):
        path = str(split / f"data_tfrecord-{shard:05d}-of-00002.gz")
        with tf.io.TFRecordWriter(path, "GZIP") as writer:
            for one in records[shard::2]:
                writer.write(one.SerializeToString())
    artifact = standard_artifacts.Examples()
    artifact.uri = str(root)
    artifact.split_names = artifact_utils.encode_split_names(["train", "test"])
    return artifact


def model_artifact(root, outputs=1, output=0):
    """Brightness above that of an empty film counts for one of the outputs, against the others."""
    image = keras.Input((SIDE, SIDE, 3))
    maps = keras.layers.AveragePooling2D(8)(image)
    backbone = keras.Model(image, maps, name="backbone")
    embedding = keras.Input((3,))
    dense = keras.layers.Dense(outputs, name="logit")
    head = keras.Model(embedding, dense(embedding), name="head")
    sign = np.where(np.arange(outputs) == output, 1.0, -1.0).astype(np.float32)
    dense.set_weights([np.full((3, 1), 20.0, np.float32) * sign, -19.0 * sign])
    (root / "saved_models").mkdir(parents=True)
    classifier.build_classifier(backbone, head).save(root / "saved_models" / "tiny.keras")
    extra = root / "Format-Serving" / "assets.extra"
    extra.mkdir(parents=True)
    (extra / "model_contract.json").write_text(json.dumps(tiny_contract(outputs, output)))
    artifact = standard_artifacts.Model()
    artifact.uri = str(root)
    return artifact


def run(root, records, count=5, outputs=1, output=0, **changes):
    report = ExplanationReport()
    report.uri = str(root / "report")
    executor.Executor().Do(
        {
            "examples": [examples_artifact(root / "examples", records)],
            "model": [model_artifact(root / "model", outputs, output)],
        },
        {"report": [report]},
        {
            "split": "test",
            "finding": "",
            "cases": count,
            "seed": 0,
            "opacity": 0.6,
            "code": "x",
            **changes,
        },
    )
    return root / "report"


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    # One mislabelled film of each kind, so that there are errors to show.
    labels = [(n, n % 2) for n in range(35)]
    records = [to_example(n, label, ("pediatric", "nih")[n // 18]) for n, label in labels]
    for number, label in ((0, 1), (1, 0)):
        records[number].features.feature["label"].int64_list.value[:] = [label]
    messages = []
    handler = logging.Handler()
    handler.emit = lambda entry: messages.append(entry.msg)
    progress.LOGGER.addHandler(handler)
    folder = run(tmp_path_factory.mktemp("run"), records, count=9)
    progress.LOGGER.removeHandler(handler)
    return folder, messages


@pytest.fixture
def index(written):
    return json.loads((written[0] / "cases.json").read_text("utf-8"))


def test_every_film_of_the_split_is_counted(index):
    assert index["films"] == 35
    assert sum(sum(outcomes.values()) for outcomes in index["counts"].values()) == 35
    assert index["counts"]["pediatric"] == {
        "false negative": 1,
        "false positive": 1,
        "true positive": 8,
        "true negative": 8,
    }
    assert index["counts"]["nih"]["false negative"] == 0


def test_the_errors_are_shown(index):
    outcomes = [case["outcome"] for case in index["cases"]]

    assert len(outcomes) == 9
    assert outcomes[:2] == ["false negative", "false positive"]


def test_probabilities_are_calibrated(index):
    case = next(x for x in index["cases"] if x["outcome"] == "true positive")
    number = int(re.search(r"<(\d+)>", case["filename"])[1])
    film = draw_film(number, 1)[np.newaxis, ..., np.newaxis] / 255
    small = tf.image.resize(film, [SIDE, SIDE], antialias=True)
    logit = 3 * 20 * float(tf.reduce_mean(small)) - 19

    assert case["probability"] == pytest.approx(1 / (1 + np.exp(-0.5 * logit)), rel=1e-3)


def test_the_overlays_are_the_films_with_heat_on_the_opacity(written, index):
    for case in index["cases"]:
        drawn = cv2.imread(str(written[0] / case["overlay"]))
        number = int(re.search(r"<(\d+)>", case["filename"])[1])
        original = SHAPES[number % len(SHAPES)]
        assert drawn.shape[1] / drawn.shape[0] == pytest.approx(original[1] / original[0], 0.01)
        assert max(drawn.shape) <= 512
        if case["outcome"] == "true positive":
            assert case["hottest_cell"]["place"] == "lower left"


def test_metadata_and_boxes_are_those_of_the_record(index):
    nih = next(x for x in index["cases"] if x["boxes"])
    pediatric = next(x for x in index["cases"] if x["dataset"] == "pediatric")

    assert nih["dataset"] == "nih"
    np.testing.assert_allclose(
        nih["boxes"], [[0.1, 0.6, 0.3, 0.3], [0.6, 0.6, 0.2, 0.2]], rtol=1e-6
    )
    assert nih["metadata"]["findings"] == "Pneumonia, Effusion"
    assert int(nih["metadata"]["age_years"]) >= 40
    assert set(pediatric["metadata"]) == {"findings", "etiology"}


def test_the_page_shows_every_case_once(written, index):
    page = (written[0] / "report.html").read_text("utf-8")

    assert page.count('<article class="case">') == 9
    assert "film &lt;0&gt; &amp; ü.png" in page
    assert "<0>" not in page


def tiny_contract(outputs, output):
    names = record.PATHOLOGIES if outputs > 1 else record.CLASS_NAMES
    # Of another output than the right one, everything would be far below the operating point.
    return {
        "task": "multilabel" if outputs > 1 else "binary",
        "class_names": list(names),
        "image_size": SIDE,
        "outputs": [
            {
                "name": name,
                "operating_point": {"threshold": THRESHOLD if number == output else 0.999},
                "calibration": {"method": "platt", "slope": 0.5, "intercept": 0.0},
            }
            for number, name in enumerate(names[-outputs:])
        ],
    }


def test_progress_is_told(written):
    assert [str(x) for x in written[1]] == [
        "32 of 35 films scored",
        "35 of 35 films scored",
        "9 of 9 cases explained",
    ]


def test_fewer_films_than_cases(tmp_path):
    folder = run(tmp_path, [to_example(n, 1, "nih") for n in range(3)], count=12)

    assert len(list((folder / "overlays").glob("*.png"))) == 3


def test_an_empty_split_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="nothing to explain"):
        run(tmp_path, [])


def test_a_split_without_files_is_named(tmp_path):
    with pytest.raises(ValueError, match="'train'"):
        run(tmp_path, [to_example(1, 1, "nih")], split="train")


# --- One finding of a multi-label model ------------------------------------------------------


def multi_label_example(number, edema):
    one = to_example(number, edema, "nih")
    # Pneumonia is in every film: its label, and the binary one, would tell another story.
    names = ("Edema", "Pneumonia") if edema else ("Pneumonia",)
    features = one.features.feature
    features["label"].int64_list.value[:] = [1]
    labels = record.finding_labels(names, "findings")
    features[record.FINDING_LABELS].int64_list.value.extend(labels)
    return one


def test_one_finding_is_explained_by_its_own_label_output_and_threshold(tmp_path):
    records = [multi_label_example(number, number % 2) for number in range(12)]
    output = record.PATHOLOGIES.index("Edema")

    folder = run(tmp_path, records, finding="Edema", outputs=14, output=output)

    index = json.loads((folder / "cases.json").read_text("utf-8"))
    assert index["counts"] == {
        "nih": {
            "false negative": 0,
            "false positive": 0,
            "true positive": 6,
            "true negative": 6,
        }
    }
    assert index["class_names"] == ["no edema", "edema"]
    assert index["threshold"] == THRESHOLD
    found = [case for case in index["cases"] if case["outcome"] == "true positive"]
    assert {case["hottest_cell"]["place"] for case in found} == {"lower left"}
    assert "the network’s score for\nedema" in (folder / "report.html").read_text("utf-8")


def test_a_finding_that_the_model_does_not_tell_is_named(tmp_path):
    with pytest.raises(ValueError, match="no output 'Gout'; it has Atelectasis, "):
        run(tmp_path, [multi_label_example(1, 1)], finding="Gout", outputs=14)
