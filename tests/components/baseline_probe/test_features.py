"""What the probes see of an image."""

import logging

import cv2
import numpy as np
import pytest
import tensorflow as tf

from components import progress
from components.baseline_probe import features
from components.errors import InputError
from components.example_gen import record
from components.transform import preprocessing
from tests import examples
from tests.components.trainer.samples import write_records

SIDE = 224


def draw(seed, shape=(SIDE, SIDE)):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def png(film):
    return cv2.imencode(".png", film)[1].tobytes()


def scaled(film):
    return tf.constant(film[..., np.newaxis] / 255, tf.float32)


@pytest.fixture
def films():
    """A few of different sizes, with what they say of themselves."""
    return [draw(seed, (240 + 10 * seed, 300)) for seed in range(5)]


@pytest.fixture
def records(films):
    return [
        examples.make_example(
            png(film), str(seed), seed % 2, dataset=("nih", "pediatric")[seed % 2]
        )
        for seed, film in enumerate(films)
    ]


def measure(records, folder, shards=2, label=record.LABEL, outputs=1):
    files = write_records(folder, records, shards)
    return features.measure(files, label, outputs, SIDE, "test")


def test_a_thumbnail_is_made_of_means():
    film = draw(1)
    means = film.reshape(16, 14, 16, 14).mean(axis=(1, 3)) / 255

    np.testing.assert_allclose(features.thumbnail(scaled(film)).numpy(), means.ravel(), atol=1e-5)


def test_sides_that_are_no_multiple_are_averaged_too():
    half = np.zeros((100, 100), np.uint8)
    half[:, 50:] = 255

    thumbnail = features.thumbnail(scaled(half)).numpy().reshape(16, 16)

    np.testing.assert_allclose(thumbnail[:, :8], 0, atol=1e-6)
    np.testing.assert_allclose(thumbnail[:, 8:], 1, atol=1e-6)


def test_the_border_knows_nothing_of_what_is_within():
    film, other = draw(1), draw(2)
    rim = -(-SIDE // 10)
    other[:rim], other[-rim:] = film[:rim], film[-rim:]
    other[:, :rim], other[:, -rim:] = film[:, :rim], film[:, -rim:]

    border = features.border(scaled(film)).numpy()

    assert border.shape == (36,)
    np.testing.assert_allclose(features.border(scaled(other)).numpy(), border, atol=1e-6)


@pytest.mark.parametrize("side", [0, 1, 2, 3])
def test_the_border_has_all_four_sides(side):
    film = np.full((SIDE, SIDE), 100, np.uint8)
    changed = np.rot90(film, side).copy()
    changed[:22] = 200

    difference = features.border(scaled(np.rot90(changed, -side))) - features.border(scaled(film))

    assert int((difference.numpy() > 0.3).sum()) == 10


def test_metadata_are_those_of_the_example():
    facts = examples.image_facts(height=500, width=1000, file_bytes=2_000, sharpness=0.0)
    names = ("height", "width", "file_bytes", "sharpness", "mean", "std", "p01", "p99")
    values = {f"image/{name}": getattr(facts, name) for name in (*names, "black_border")}

    seen = features.metadata({name: tf.constant(value) for name, value in values.items()}).numpy()

    np.testing.assert_allclose(
        seen, [*np.log([500, 1000, 2_000, 1e-6]), 0.5, 0.2, 0.0, 0.9, 0.1], rtol=1e-6
    )


def test_a_split_is_measured_through_the_one_preprocessing(films, records, tmp_path):
    measured = measure(records, tmp_path)

    digests = [one.features.feature[record.SHA256].bytes_list.value[0].decode() for one in records]
    assert measured.sha256.tolist() == sorted(digests)
    for number, digest in enumerate(digests):
        row = measured.sha256.tolist().index(digest)
        image = preprocessing.preprocess(tf.constant([png(films[number])]), SIDE)[0, ..., :1]
        np.testing.assert_allclose(
            measured.seen["thumbnail"][row], features.thumbnail(image), atol=1e-6
        )
        np.testing.assert_allclose(measured.seen["border"][row], features.border(image), atol=1e-6)
        assert measured.seen["metadata"][row, 0] == pytest.approx(np.log(240 + 10 * number))
        assert measured.datasets[row] == ("nih", "pediatric")[number % 2]
        assert measured.labels[row].tolist() == [number % 2]


def test_shards_do_not_matter(records, tmp_path):
    one, other = measure(records, tmp_path / "a", 1), measure(records[::-1], tmp_path / "b", 3)

    assert one.sha256.tolist() == other.sha256.tolist()
    for name in features.SEES:
        np.testing.assert_array_equal(one.seen[name], other.seen[name])


def test_all_findings_are_read(tmp_path):
    labels = tuple(int(number in (2, 12)) for number in range(14))
    one = examples.make_example(png(draw(1)), dataset="nih", finding_labels=labels)

    measured = measure([one], tmp_path, 1, record.FINDING_LABELS, 14)

    assert measured.labels.tolist() == [list(labels)]


def test_an_empty_split_is_said_to_be_empty(tmp_path):
    with pytest.raises(InputError, match=r"test has no images.*data\.split"):
        measure([], tmp_path)


def test_progress_is_told(records, tmp_path, monkeypatch):
    monkeypatch.setattr(features, "_BATCH", 2)
    messages = []
    handler = logging.Handler()
    handler.emit = lambda entry: messages.append(str(entry.msg))
    progress.LOGGER.addHandler(handler)
    measure(records, tmp_path)
    progress.LOGGER.removeHandler(handler)

    assert messages == [f"{done} of 5 test images reduced" for done in (2, 4, 5)]
