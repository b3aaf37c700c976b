"""Which images run, in which batches, and what is kept of them."""

import threading
from collections.abc import Sequence

import cv2
import numpy as np
import pytest
import tensorflow as tf

from components.example_gen import record
from components.scorer import features
from components.scorer.scoring import Answer, score
from tests import examples


def film(level: int, **values) -> bytes:
    encoded = cv2.imencode(".png", np.full((24, 32), level, np.uint8))[1].tobytes()
    return examples.make_example(encoded, str(level), **values).SerializeToString()


class Model:
    """Answers with the image's level, and remembers what it was asked."""

    def __init__(self, factor: float = 1.0) -> None:
        self.batches: list[int] = []
        self._factor = factor
        self._lock = threading.Lock()

    def __call__(self, asked: Sequence[bytes]) -> tuple[np.ndarray, np.ndarray]:
        levels = [
            cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_GRAYSCALE).mean() / 255
            for one in asked
            for image in values(tf.train.Example.FromString(one), record.IMAGE)
        ]
        with self._lock:
            self.batches.append(len(asked))
        probability = np.array(levels, np.float32)[:, None] * self._factor
        return probability, (probability >= 0.5).astype(np.int64)


def values(one: tf.train.Example, name: str) -> list:
    feature = one.features.feature[name]
    return list(getattr(feature, feature.WhichOneof("kind") or "int64_list").value)


def run(films: Sequence[bytes], model: Model, last=None, known=None, batch_size=4):
    known = {} if known is None else known
    return list(score(films, model, last, known=known, batch_size=batch_size))


def test_every_image_has_its_own_answer_in_the_order_it_came() -> None:
    levels = list(range(0, 250, 11))
    rows = run([film(level) for level in levels], Model())
    assert [values(one, record.FILENAME) for one in rows] == [[f"{n}.png".encode()] for n in levels]
    found = [values(one, features.PROBABILITY)[0] for one in rows]
    assert found == pytest.approx([level / 255 for level in levels], abs=1e-6)
    assert [values(one, features.DECISION) for one in rows] == [[int(n >= 128)] for n in levels]


def test_the_pixels_are_left_behind() -> None:
    (one,) = run([film(9, sex="F", age_years=61)], Model())
    assert record.IMAGE not in one.features.feature
    assert len(one.SerializeToString()) < 400
    assert values(one, "sex") == [b"F"]
    assert values(one, features.AGE_GROUP) == [b"60-80"]


def test_an_age_that_is_not_known_has_no_group() -> None:
    (one,) = run([film(9)], Model())
    assert features.AGE_GROUP not in one.features.feature
    assert "sex" not in one.features.feature


@pytest.mark.parametrize(
    ("years", "group"),
    [(0, "under 18"), (17, "under 18"), (18, "18-40"), (39, "18-40"), (40, "40-60"), (60, "60-80"),
     (79, "60-80"), (80, "80+"), (102, "80+")],
)  # fmt: skip
def test_age_groups(years: int, group: str) -> None:
    assert features.age_group(years) == group


def test_an_image_runs_once_however_often_it_is_there() -> None:
    model = Model()
    known: dict[str, Answer] = {}
    first = [film(level) for level in (10, 20, 10, 30, 40, 20, 50)]
    assert len(run(first, model, known=known)) == 7
    assert sum(model.batches) == 5
    # As `test_unsampled` repeats the images of `test`.
    again = run([film(level) for level in (50, 60, 10, 70)], model, known=known)
    assert sum(model.batches) == 7
    assert [values(one, features.PROBABILITY)[0] for one in again] == pytest.approx(
        [level / 255 for level in (50, 60, 10, 70)], abs=1e-6
    )


def test_batches_are_full_but_for_the_last() -> None:
    model = Model()
    run([film(level) for level in range(11)], model)
    assert sorted(model.batches) == [3, 4, 4]


def test_images_that_are_all_known_are_not_asked_for() -> None:
    model, known = Model(), {}
    run([film(1)], model, known=known)
    model.batches.clear()
    assert len(run([film(1), film(1)], model, known=known)) == 2
    assert model.batches == []


def test_films_are_read_as_they_are_needed() -> None:
    read = 0

    def films():
        nonlocal read
        for level in range(60):
            read += 1
            yield film(level)

    rows = score(films(), Model(), known={}, batch_size=4)
    next(rows)
    assert read <= 4 * 4


def test_the_last_blessed_model_answers_for_the_same_images() -> None:
    model, last = Model(), Model(factor=0.5)
    rows = run([film(200), film(100)], model, last)
    assert [values(one, features.PROBABILITY)[0] for one in rows] == pytest.approx(
        [200 / 255, 100 / 255], abs=1e-6
    )
    assert [values(one, features.LAST_PROBABILITY)[0] for one in rows] == pytest.approx(
        [100 / 255, 50 / 255], abs=1e-6
    )
    assert [values(one, features.LAST_DECISION) for one in rows] == [[0], [0]]


def test_a_model_that_is_the_last_blessed_one_itself_runs_once() -> None:
    model = Model()
    (one,) = run([film(200)], model, model)
    assert sum(model.batches) == 1
    assert values(one, features.LAST_PROBABILITY) == values(one, features.PROBABILITY)


def test_a_failing_model_fails_the_run() -> None:
    def failing(asked: Sequence[bytes]) -> tuple[np.ndarray, np.ndarray]:
        raise RuntimeError("no such image")

    with pytest.raises(RuntimeError, match="no such image"):
        list(score([film(1)], failing, known={}, batch_size=4))
