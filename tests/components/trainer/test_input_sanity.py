"""Warnings beside answers: of films, and of what is none, asked of the exported model."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import cv2
import numpy as np
import pytest
import tensorflow as tf

from components.trainer import input_sanity
from components.trainer.film_sample import FilmSample
from components.trainer.input_sanity import BLANK, COLOUR, INVERTED, UNLIKE_TRAINING
from components.trainer.sanity_fitting import LEVEL, fit_sanity
from components.transform.preprocessing import preprocess
from tests.components.trainer.conftest import Chests, read_contract
from tests.components.trainer.samples import SIDE, encode


@pytest.fixture(scope="module")
def served(chests: Chests) -> Any:
    return tf.saved_model.load(str(chests.model_dir))


def warnings(served: Any, images: list[bytes]) -> list[list[str]]:
    answer = served.signatures["serving_default"](image_bytes=tf.constant(images))
    return [text.decode().split(",") if text else [] for text in answer["quality"].numpy()]


def share(found: list[list[str]], code: str) -> float:
    return sum(code in one for one in found) / len(found)


def test_films_like_the_training_films_get_none(served: Any, chests: Chests) -> None:
    found = warnings(served, [encode(film) for film in chests.others])

    assert share(found, UNLIKE_TRAINING) <= 0.1
    assert Counter(code for one in found for code in one).keys() <= {UNLIKE_TRAINING}


def test_negatives_are_told(served: Any, chests: Chests) -> None:
    found = warnings(served, [encode(255 - film) for film in chests.others])

    assert share(found, INVERTED) == 1


@pytest.mark.parametrize("level", [0, 90, 255])
def test_a_blank_image_is_told_and_has_no_negative(served: Any, level: int) -> None:
    (found,) = warnings(served, [encode(np.full((70, 90), level, np.uint8))])

    assert BLANK in found
    assert INVERTED not in found
    assert COLOUR not in found


@pytest.mark.parametrize("suffix", [".png", ".jpeg"])
def test_a_colour_photograph_is_told_whatever_its_format(served: Any, suffix: str) -> None:
    rng = np.random.default_rng(3)
    picture = cv2.resize(rng.integers(0, 256, (6, 6, 3), np.uint8), (200, 160))

    (found,) = warnings(served, [encode(picture, suffix)])

    assert found == [COLOUR, UNLIKE_TRAINING] or found == [COLOUR, INVERTED, UNLIKE_TRAINING]


@pytest.mark.parametrize("suffix", [".png", ".jpeg"])
def test_a_film_stored_in_colours_is_none(served: Any, chests: Chests, suffix: str) -> None:
    film = cv2.cvtColor(chests.others[0], cv2.COLOR_GRAY2BGR)

    (found,) = warnings(served, [encode(film, suffix)])

    assert COLOUR not in found


def test_a_film_with_an_alpha_channel_gets_no_warning(served: Any, chests: Chests) -> None:
    film = cv2.cvtColor(chests.others[0], cv2.COLOR_GRAY2BGRA)

    assert warnings(served, [encode(film)]) == [[]]


def test_noise_and_films_on_their_side_are_unlike_the_training_films(
    served: Any, chests: Chests
) -> None:
    rng = np.random.default_rng(5)
    noise = [encode(rng.integers(0, 256, (96, 88), np.uint8)) for _ in range(10)]
    turned = [encode(np.rot90(film).copy()) for film in chests.others]

    assert share(warnings(served, noise), UNLIKE_TRAINING) == 1
    assert share(warnings(served, turned), UNLIKE_TRAINING) > 0.9


def test_an_image_gets_the_same_warnings_alone_in_a_batch_and_as_an_example(
    served: Any, chests: Chests
) -> None:
    images = [encode(one) for film in chests.others[:4] for one in (film, 255 - film)]
    together = warnings(served, images)

    assert [warnings(served, [image])[0] for image in images] == together
    assert Counter(map(tuple, together)).keys() >= {(), (INVERTED, UNLIKE_TRAINING)}
    explained = served.signatures["explain"](image_bytes=tf.constant(images))["quality"]
    assert [text.decode().split(",") if text else [] for text in explained.numpy()] == together
    serialized = [
        tf.train.Example(
            features=tf.train.Features(
                feature={
                    "image/encoded": tf.train.Feature(bytes_list=tf.train.BytesList(value=[image]))
                }
            )
        ).SerializeToString()
        for image in images
    ]
    other = served.signatures["serving_examples"](examples=tf.constant(serialized))["quality"]
    assert [text.decode().split(",") if text else [] for text in other.numpy()] == together


def test_the_contract_has_the_limits_and_validation_films_keep_them(
    served: Any, chests: Chests
) -> None:
    quality = read_contract(chests.model_dir)["quality"]

    measured = served.signatures["measure"](image_bytes=tf.constant(chests.validation))
    assert quality["level"] == LEVEL
    assert (quality["training_images"], quality["validation_images"]) == (80, 60)
    limit = quality["limits"]["unlike_training"]
    # What was kept for fine-tuning is in half precision.
    assert np.max(measured["distance"]) == pytest.approx(limit, rel=0.02)
    assert quality["limits"]["inverted"] < 0 < quality["limits"]["blank"] < 0.05
    assert quality["limits"]["colour"] == 0.08
    assert quality["warned"] == {COLOUR: 0, BLANK: 0, INVERTED: 0, UNLIKE_TRAINING: 0}
    json.dumps(quality, allow_nan=False)


def test_measured_are_the_grey_levels_that_the_network_sees(served: Any, chests: Chests) -> None:
    images = [encode(film) for film in chests.others[:5]]
    grey = preprocess(tf.constant(images), SIDE).numpy()[..., 0]

    measured = served.signatures["measure"](image_bytes=tf.constant(images))

    expected = {
        "mean": grey.mean(axis=(1, 2)),
        "std": grey.std(axis=(1, 2)),
        "p01": np.quantile(grey, 0.01, axis=(1, 2), method="nearest"),
        "p99": np.quantile(grey, 0.99, axis=(1, 2), method="nearest"),
        "sharpness": [cv2.Laplacian(one, cv2.CV_32F)[1:-1, 1:-1].var() for one in grey],
    }
    assert measured.keys() == expected.keys() | {"distance"}
    for name, values in expected.items():
        np.testing.assert_allclose(measured[name], values, rtol=1e-4, err_msg=name)


# --- Fitting --------------------------------------------------------------------------------


def sample(embeddings: np.ndarray, layouts: np.ndarray) -> FilmSample:
    count = len(embeddings)
    return FilmSample(
        rows=np.arange(count),
        embeddings=embeddings.astype(np.float32),
        layouts=layouts.astype(np.float32),
        colours=np.zeros(count, np.float32),
        scalars={"std": np.full(count, 0.2, np.float32)},
    )


def draw(count: int, seed: int) -> FilmSample:
    rng = np.random.default_rng(seed)
    pattern = np.sin(np.arange(256))
    return sample(rng.normal(0, 1, (count, 12)), pattern + rng.normal(0, 0.3, (count, 256)))


def test_one_in_a_hundred_validation_films_is_above_the_limit() -> None:
    reference, account = fit_sanity(draw(300, 1), draw(400, 2), seed=1)

    fresh = draw(4000, 3)
    distances = input_sanity.distance(fresh.layouts, fresh.embeddings, reference).numpy()
    assert LEVEL - 2 / 400 < account.warned[UNLIKE_TRAINING] <= LEVEL
    assert 0.002 < np.mean(distances > account.limits.unlike_training) < 0.03


def test_the_same_seed_gives_the_same_and_no_centre_is_a_film() -> None:
    films = draw(100, 1)
    reference, _ = fit_sanity(films, draw(50, 2), seed=1)
    again, _ = fit_sanity(films, draw(50, 2), seed=1)

    np.testing.assert_array_equal(reference.centres, again.centres)
    points = input_sanity.joined(films.layouts, films.embeddings, reference).numpy()
    gaps = np.linalg.norm(points[:, None] - reference.centres[None], axis=2)
    assert gaps.min() > 0.05


def test_films_without_a_common_layout_have_no_negative() -> None:
    rng = np.random.default_rng(1)
    one, other = (sample(rng.normal(size=(40, 12)), rng.normal(size=(40, 256))) for _ in range(2))

    _, account = fit_sanity(one, other, seed=1)

    assert account.limits.inverted is None
    assert account.warned[INVERTED] == 0


def test_few_and_equal_films_are_no_error() -> None:
    same = sample(np.ones((3, 12)), np.ones((3, 256)))

    reference, account = fit_sanity(same, same, seed=1)

    assert np.isfinite(reference.centres).all()
    assert np.isfinite(account.limits.unlike_training)
