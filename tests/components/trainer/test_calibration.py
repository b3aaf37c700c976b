"""Calibration against references, and the graph against NumPy."""

from __future__ import annotations

import json

import numpy as np
import pydantic
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression

from components.trainer import settings
from components.trainer.calibration import Calibration, calibrate, fit_calibration
from components.trainer.calibration_error import expected_calibration_error

PLATT = settings.Calibration()
ISOTONIC = settings.Calibration(method="isotonic")


def simulate(count: int, slope: float, intercept: float) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and labels drawn with probability sigmoid(slope * logit + intercept)."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, count).astype(np.float32)
    return logits, (rng.random(count) < expit(slope * logits + intercept)).astype(np.int64)


# --- The prior shift -------------------------------------------------------------------------


@pytest.mark.parametrize("how", [PLATT, ISOTONIC], ids=lambda how: how.method)
def test_known_probabilities_are_recovered_from_class_weighted_scores(
    how: settings.Calibration,
) -> None:
    rng = np.random.default_rng(1)
    true = rng.normal(-1.5, 1.2, 20_000)
    labels = (rng.random(len(true)) < expit(true)).astype(np.int64)
    shift = float(np.log(np.sum(labels == 0) / np.sum(labels == 1)))  # balanced class weights
    scores = true + shift

    found = fit_calibration(scores, labels, how, shift)(scores)

    assert np.abs(expit(scores) - expit(true)).mean() > 0.2
    assert np.abs(found - expit(true)).mean() < 0.015
    assert expected_calibration_error(found, labels) < 0.01


def test_with_few_positives_the_shift_alone_mends_class_weighted_scores() -> None:
    true = np.linspace(-6, 0, 60)
    labels = (np.arange(60) >= 57).astype(int)
    shift = float(np.log(57 / 3))

    fitted = fit_calibration(true + shift, labels, PLATT, shift)

    assert fitted.method == "prior"
    np.testing.assert_allclose(fitted(true + shift), expit(true), atol=1e-6)


# --- Platt -----------------------------------------------------------------------------------


def test_it_is_platt_scaling() -> None:
    logits, labels = simulate(300, slope=0.6, intercept=-1.0)
    positives, negatives = np.sum(labels == 1), np.sum(labels == 0)
    target = np.where(labels == 1, (positives + 1) / (positives + 2), 1 / (negatives + 2))

    def loss(line: np.ndarray) -> float:
        z = line[0] * logits.astype(np.float64) + line[1]
        return float(np.sum(np.logaddexp(0, z) - target * z))

    reference = minimize(loss, [1.0, 0.0], tol=1e-8).x
    fitted = fit_calibration(logits, labels, PLATT)

    assert (fitted.method, fitted.reason, fitted.curve) == ("platt", None, ())
    assert (fitted.slope, fitted.intercept) == pytest.approx(tuple(reference), rel=1e-2)


def test_it_mends_distorted_scores() -> None:
    logits, labels = simulate(4000, slope=0.4, intercept=-1.5)

    before = expected_calibration_error(expit(logits), labels)
    after = expected_calibration_error(fit_calibration(logits, labels, PLATT)(logits), labels)

    assert before > 0.15
    assert after < 0.03


def test_it_keeps_the_order_of_scores() -> None:
    logits, labels = simulate(300, slope=0.6, intercept=-1.0)
    rising = np.linspace(-5, 5, 50)

    assert (np.diff(fit_calibration(logits, labels, PLATT)(rising)) > 0).all()


def test_separable_scores_stay_finite() -> None:
    labels = np.repeat([0, 1], 20)
    fitted = fit_calibration(np.where(labels == 1, 8.0, -8.0), labels, PLATT)

    assert fitted.method == "platt"
    assert 0 < fitted.slope < 10
    assert 0.9 < fitted(np.array([8.0]))[0] < 1


@pytest.mark.parametrize("how", [PLATT, ISOTONIC], ids=lambda how: how.method)
@pytest.mark.parametrize(("positives", "negatives"), [(4, 50), (50, 4), (0, 50), (0, 0)])
def test_with_few_images_of_a_class_nothing_is_fitted(
    how: settings.Calibration, positives: int, negatives: int
) -> None:
    labels = np.repeat([1, 0], [positives, negatives])
    fitted = fit_calibration(labels * 2.0 - 1, labels, how, 0.5)

    assert (fitted.method, fitted.prior_shift, fitted.slope, fitted.intercept) == (
        "prior",
        0.5,
        1.0,
        0.0,
    )
    assert f"{positives} positives and {negatives} negatives" in str(fitted.reason)


@pytest.mark.parametrize("how", [PLATT, ISOTONIC], ids=lambda how: how.method)
def test_inverted_scores_are_not_turned_round(how: settings.Calibration) -> None:
    logits, labels = simulate(400, slope=-0.6, intercept=0.0)
    fitted = fit_calibration(logits, labels, how)

    assert (fitted.method, fitted.slope, fitted.intercept, fitted.curve) == ("prior", 1.0, 0.0, ())
    assert "do not rise" in str(fitted.reason)


@pytest.mark.filterwarnings("error")
def test_extreme_logits_do_not_overflow() -> None:
    logits = np.array([-1e4, 0, 1e4], np.float32)

    assert Calibration("platt", slope=2.0)(logits).tolist() == [0.0, 0.5, 1.0]


# --- Isotonic --------------------------------------------------------------------------------


def test_it_is_isotonic_regression() -> None:
    logits, labels = simulate(500, slope=0.6, intercept=-1.0)
    positives, negatives = np.sum(labels == 1), np.sum(labels == 0)
    reference = IsotonicRegression(
        y_min=1 / (negatives + 2), y_max=(positives + 1) / (positives + 2), out_of_bounds="clip"
    ).fit(logits.astype(np.float64), labels)

    fitted = fit_calibration(logits, labels, ISOTONIC)

    assert fitted.method == "isotonic"
    np.testing.assert_allclose(fitted(logits), reference.predict(logits), atol=1e-6)
    outside = fitted(np.array([-100.0, 100.0]))
    np.testing.assert_allclose(outside, reference.predict([-100.0, 100.0]), atol=1e-6)
    assert 0 < outside[0] < outside[1] < 1


def test_with_fewer_than_fifty_of_a_class_a_line_takes_the_curve_s_place() -> None:
    logits = np.linspace(-3, 3, 150)
    labels = (logits > 1.1).astype(int)
    labels[0] = 1

    fitted = fit_calibration(logits, labels, ISOTONIC)

    assert (fitted.method, fitted.curve) == ("platt", ())
    assert "isotonic takes 50 of each" in str(fitted.reason)


# --- None, and the prevalence ----------------------------------------------------------------


def test_none_leaves_the_score_as_it_is() -> None:
    logits, labels = simulate(300, slope=0.6, intercept=-1.0)
    fitted = fit_calibration(logits, labels, settings.Calibration(method="none"), 2.0)

    assert fitted == Calibration("none")
    np.testing.assert_allclose(fitted(logits), expit(logits), atol=1e-7)


def test_scores_that_are_not_calibrated_have_no_prevalence() -> None:
    with pytest.raises(pydantic.ValidationError, match="choose platt or isotonic"):
        settings.Calibration(method="none", prevalence=0.01)


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_a_stated_prevalence_makes_probabilities_right_there(method: str) -> None:
    rng = np.random.default_rng(3)

    def draw(positives: int, negatives: int) -> tuple[np.ndarray, np.ndarray]:
        """The same films of either class, in other numbers: their log-odds differ by a constant."""
        labels = np.repeat([1, 0], [positives, negatives])
        return rng.normal(labels * 2.0 - 1, 1.0), labels

    validation, labels = draw(4000, 4000)
    how = settings.Calibration(method=method, prevalence=0.05)
    elsewhere, truth = draw(1000, 19_000)

    found = fit_calibration(validation, labels, how)(elsewhere)

    assert found.mean() == pytest.approx(0.05, abs=0.005)
    assert expected_calibration_error(found, truth) < 0.01


# --- In the graph ----------------------------------------------------------------------------

EXAMPLES = (
    Calibration("platt", slope=0.7, intercept=-0.3, prior_shift=1.2),
    Calibration("isotonic", curve=((-2.0, -3.0), (0.0, -1.0), (0.5, -1.0), (3.0, 4.0))),
    Calibration("prior", "few", prior_shift=-2.0, prevalence_shift=1.5),
    Calibration("none"),
)


@given(st.lists(st.floats(-50, 50, width=32), min_size=1, max_size=20))
def test_the_graph_gives_the_numbers_that_numpy_gives(logits: list[float]) -> None:
    columns = np.array(logits, np.float32)[:, np.newaxis] * np.ones(len(EXAMPLES), np.float32)

    found = calibrate(tf.constant(columns), EXAMPLES).numpy()

    assert found.dtype == np.float32
    expected = np.stack([one(columns[:, k]) for k, one in enumerate(EXAMPLES)], axis=1)
    np.testing.assert_allclose(found, expected, atol=1e-6, rtol=0)


def test_a_fitted_curve_is_the_same_in_the_graph_and_after_json() -> None:
    logits, labels = simulate(2000, slope=0.6, intercept=-1.0)
    fitted = fit_calibration(logits, labels, ISOTONIC, 0.7)
    read = Calibration(**json.loads(json.dumps(vars(fitted))))

    np.testing.assert_array_equal(read(logits), fitted(logits))
    in_graph = tf.function(lambda x: calibrate(x, [read]))(tf.constant(logits[:, np.newaxis]))
    np.testing.assert_allclose(in_graph[:, 0], fitted(logits), atol=1e-6, rtol=0)
    assert logit(fitted(logits)).max() < 20
