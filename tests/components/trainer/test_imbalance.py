"""Classes of unlike size: weights, draws, the focal loss, and what they do to the scores."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from components.trainer.imbalance import Imbalance, TrainingError, balance, loss
from components.trainer.settings import TrainerSettings

NAMES = ("a", "b", "c")


def column(negatives: int, positives: int) -> np.ndarray:
    return np.repeat([0.0, 1.0], [negatives, positives])[:, None].astype(np.float32)


def balanced(method: str, labels: np.ndarray, **changes: Any) -> Imbalance:
    settings = TrainerSettings.model_validate({"imbalance": method} | changes)
    return balance(labels, NAMES[: labels.shape[1]], settings)


def losses(
    labels: np.ndarray, logits: np.ndarray, imbalance: Imbalance, **focal: float
) -> np.ndarray:
    settings = TrainerSettings.model_validate({"imbalance": imbalance.method, "focal": focal})
    return np.asarray(loss(imbalance, settings)(labels, logits))


# Labels of one output with both classes, and of three findings with both classes each.
one_output = st.tuples(st.integers(1, 40), st.integers(1, 40)).map(lambda counts: column(*counts))
several = st.lists(st.tuples(*[st.integers(0, 1)] * 3), min_size=4, max_size=60).map(
    lambda rows: np.array([*rows, (1, 1, 1), (0, 0, 0)], np.float32)
)
methods = st.sampled_from(["none", "class_weight", "focal", "oversample", "downsample"])
anything = hypothesis_settings(max_examples=50)


# --- Weights ---------------------------------------------------------------------------------


def test_class_weights_let_both_classes_count_alike() -> None:
    weights = balanced("class_weight", column(3, 1)).weights

    np.testing.assert_allclose(weights, [[4 / 6], [2.0]])


@anything
@given(labels=several)
def test_each_finding_has_class_weights_of_its_own(labels: np.ndarray) -> None:
    imbalance = balanced("class_weight", labels)

    np.testing.assert_allclose(imbalance.frequencies, 0.5)
    np.testing.assert_allclose(imbalance._masses, len(labels) / 2)


@pytest.mark.parametrize(("present", "text"), [(0, "without"), (1, "with")])
def test_a_missing_class_is_named(present: int, text: str) -> None:
    with pytest.raises(TrainingError, match=f"all 6 images to train on are {text} a.*both classes"):
        balanced("none", np.full((6, 1), present, np.float32))


def test_findings_that_cannot_be_learnt_are_named_and_the_others_are(
    caplog: pytest.LogCaptureFixture,
) -> None:
    labels = np.array([[0, 1, 1], [0, 0, 1], [0, 0, 1]], np.float32)

    imbalance = balanced("class_weight", labels)

    assert "no two classes to learn from in the training split: a, c" in caplog.text
    np.testing.assert_allclose(imbalance.weights, [[1, 3 / 4, 1], [1, 3 / 2, 1]])
    assert imbalance.prior_shift[[0, 2]].tolist() == [0.0, 0.0]
    assert imbalance.prior_shift[1] == pytest.approx(np.log(2))


def test_no_finding_to_learn_is_an_error() -> None:
    with pytest.raises(TrainingError, match="none of the 3 findings"):
        balanced("downsample", np.zeros((5, 3), np.float32))


# --- Losses ----------------------------------------------------------------------------------


@anything
@given(
    labels=several,
    gamma=st.floats(0, 5),
    alpha=st.floats(0.05, 0.95),
    seed=st.integers(0, 99),
)
def test_focal_loss_is_that_of_the_paper(
    labels: np.ndarray, gamma: float, alpha: float, seed: int
) -> None:
    logits = np.random.default_rng(seed).normal(0, 3, labels.shape).astype(np.float32)
    focal = {"gamma": gamma, "alpha": alpha}
    found = losses(labels, logits, balanced("focal", labels, focal=focal), **focal)

    p = expit(logits.astype(np.float64))
    p_true = np.where(labels == 1, p, 1 - p)
    alpha_true = np.where(labels == 1, alpha, 1 - alpha)
    expected = -alpha_true * (1 - p_true) ** gamma * np.log(p_true)
    np.testing.assert_allclose(found, expected.mean(axis=1), rtol=1e-4, atol=1e-6)


@anything
@given(labels=several, alpha=st.floats(0.05, 0.95))
def test_focal_loss_without_gamma_is_weighed_cross_entropy(
    labels: np.ndarray, alpha: float
) -> None:
    logits = np.random.default_rng(0).normal(0, 3, labels.shape).astype(np.float32)
    focal = {"gamma": 0.0, "alpha": alpha}
    weights = np.repeat([[1 - alpha], [alpha]], 3, axis=1)
    weighed = Imbalance("class_weight", np.ones(len(labels)), weights, labels)

    np.testing.assert_allclose(
        losses(labels, logits, balanced("focal", labels, focal=focal), **focal),
        losses(labels, logits, weighed),
        rtol=1e-6,
    )


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_the_focal_loss_of_sure_answers_has_a_gradient(gamma: float) -> None:
    labels = column(3, 3)
    settings = TrainerSettings.model_validate({"imbalance": "focal", "focal": {"gamma": gamma}})
    function = loss(balance(labels, NAMES[:1], settings), settings)
    logits = tf.constant([[-200.0], [-20.0], [200.0]] * 2)

    with tf.GradientTape() as tape:
        tape.watch(logits)
        value = tf.reduce_sum(function(labels, logits))
    gradient = tape.gradient(value, logits)

    assert np.isfinite(value)
    assert np.isfinite(gradient).all()
    np.testing.assert_allclose(gradient[2:4, 0], [0.75, -0.25], rtol=1e-3)


def test_the_weighed_loss_is_keras_fit_with_class_weights() -> None:
    labels = column(25, 7)
    images = np.random.default_rng(0).normal(size=(32, 4)).astype(np.float32)
    imbalance = balanced("class_weight", labels)
    found = []
    for ours in (True, False):
        keras.utils.set_random_seed(1)
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
        settings = TrainerSettings.model_validate({"imbalance": "class_weight"})
        plain = keras.losses.BinaryCrossentropy(from_logits=True)
        model.compile("sgd", loss(imbalance, settings) if ours else plain)
        weights = None if ours else dict(enumerate(imbalance.weights[:, 0].tolist()))
        history = model.fit(
            images, labels, batch_size=8, epochs=3, class_weight=weights, shuffle=False, verbose=0
        )
        found.append((history.history["loss"], model.get_weights()[0]))

    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-5)
    np.testing.assert_allclose(found[0][1], found[1][1], rtol=1e-5, atol=1e-7)


# --- Draws -----------------------------------------------------------------------------------


@anything
@given(labels=st.one_of(one_output, several), method=methods, epoch=st.integers(0, 50))
def test_an_epoch_is_decided_by_seed_and_number_alone(
    labels: np.ndarray, method: str, epoch: int
) -> None:
    imbalance = balanced(method, labels)
    order = imbalance.order(1, epoch)

    np.testing.assert_array_equal(order, balanced(method, labels).order(1, epoch))
    assert order.dtype == np.int64
    assert 0 <= order.min() <= order.max() < len(labels)


@pytest.mark.parametrize("method", ["none", "class_weight", "focal", "oversample", "downsample"])
def test_epochs_and_seeds_differ(method: str) -> None:
    imbalance = balanced(method, column(40, 10))
    orders = [imbalance.order(seed, epoch).tolist() for seed, epoch in ((1, 0), (1, 1), (2, 0))]

    assert len({tuple(order) for order in orders}) == 3


@anything
@given(labels=one_output, method=st.sampled_from(["none", "class_weight", "focal"]))
def test_what_weighs_does_not_draw(labels: np.ndarray, method: str) -> None:
    assert sorted(balanced(method, labels).order(1, 0)) == list(range(len(labels)))


@anything
@given(labels=one_output, epoch=st.integers(0, 9))
def test_oversampling_keeps_every_image_and_levels_the_classes(
    labels: np.ndarray, epoch: int
) -> None:
    order = balanced("oversample", labels).order(1, epoch)
    counts = np.bincount(labels[order, 0].astype(int))

    assert set(order) == set(range(len(labels)))
    assert abs(counts[0] - counts[1]) <= 1


@anything
@given(labels=one_output, epoch=st.integers(0, 9))
def test_downsampling_keeps_the_rare_images_and_draws_the_others_once(
    labels: np.ndarray, epoch: int
) -> None:
    order = balanced("downsample", labels).order(1, epoch)
    counts = np.bincount(labels[order, 0].astype(int))
    rare = labels[:, 0] == (labels.mean() < 0.5)

    assert counts[0] == counts[1] == min(np.bincount(labels[:, 0].astype(int)))
    assert len(set(order)) == len(order)
    assert rare.sum() != counts[0] or set(np.flatnonzero(rare)) <= set(order)


def test_over_the_epochs_downsampling_sees_every_image() -> None:
    imbalance = balanced("downsample", column(40, 10))

    assert set(np.concatenate([imbalance.order(1, epoch) for epoch in range(40)])) == set(range(50))


@anything
@given(labels=several, epoch=st.integers(0, 9))
def test_of_several_findings_no_image_with_one_is_thinned_out(
    labels: np.ndarray, epoch: int
) -> None:
    over = balanced("oversample", labels).order(1, epoch)
    down = balanced("downsample", labels).order(1, epoch)
    found = np.flatnonzero(labels.any(axis=1))

    assert set(over) == set(range(len(labels)))
    assert set(found) <= set(down)
    assert len(set(down)) == len(down)
    assert len(down) - len(found) <= max(len(found), 1)


def test_an_image_is_drawn_as_often_as_its_rarest_finding_asks_for() -> None:
    labels = np.array([[0, 0, 0]] * 60 + [[1, 0, 0]] * 30 + [[1, 0, 1]] * 6, np.float32)
    labels = np.concatenate([labels, np.array([[0, 1, 0]] * 4, np.float32)])

    chance = balanced("oversample", labels).chance

    assert chance[[0, 60, 90, 96]].tolist() == [1.0, 60 / 36, 10.0, 15.0]
    drawn = np.bincount(balanced("oversample", labels).order(1, 0), minlength=100)
    assert drawn[96:].mean() == pytest.approx(15.0, rel=0.4)


# --- What it does to the scores --------------------------------------------------------------


@anything
@given(labels=st.one_of(one_output, several), method=methods)
def test_the_frequencies_and_the_shift_tell_the_same(labels: np.ndarray, method: str) -> None:
    imbalance = balanced(method, labels)
    seen, actual = imbalance.frequencies, labels.mean(axis=0, dtype=np.float64)

    expected = np.log(seen / (1 - seen)) - np.log(actual / (1 - actual))
    np.testing.assert_allclose(imbalance.prior_shift, expected, atol=1e-6)


@anything
@given(labels=one_output, method=st.sampled_from(["oversample", "downsample"]))
def test_the_frequencies_are_those_of_the_draws(labels: np.ndarray, method: str) -> None:
    imbalance = balanced(method, labels)
    drawn = labels[imbalance.order(1, 0)].mean()

    assert imbalance.frequencies == pytest.approx([drawn], abs=0.02 + 1 / len(labels))


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("none", 0.0),
        ("class_weight", np.log(5400 / 600)),
        ("oversample", np.log(5400 / 600)),
        ("downsample", np.log(5400 / 600)),
        ("focal", np.log(0.25 / 0.75)),
    ],
)
def test_an_ideal_model_is_off_by_the_shift(method: str, expected: float) -> None:
    """Two clouds: their true log-odds are a line, which logistic regression finds."""
    rng = np.random.default_rng(0)
    labels = column(5400, 600)
    films = rng.normal(size=(6000, 1)) + 1.5 * labels
    imbalance = balanced(method, labels, focal={"gamma": 0.0})
    order = np.concatenate([imbalance.order(1, epoch) for epoch in range(5)])
    weights = np.where(labels[order, 0] == 1, imbalance.weights[1, 0], imbalance.weights[0, 0])

    def logits(order: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        model = LogisticRegression(C=np.inf).fit(films[order], labels[order, 0], weights)
        return model.decision_function(films)

    assert imbalance.prior_shift == pytest.approx([expected])
    shift = logits(order, weights) - logits(np.arange(6000))
    assert shift.mean() == pytest.approx(expected, abs=0.1)
