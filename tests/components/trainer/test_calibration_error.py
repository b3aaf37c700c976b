"""The calibration error, by hand and by cross-fitting."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from components.trainer import settings
from components.trainer.calibration import fit_calibration
from components.trainer.calibration_error import cross_fit, expected_calibration_error


def fit(logits: np.ndarray, labels: np.ndarray) -> object:
    return fit_calibration(logits, labels, settings.Calibration())


def simulate_class_weights(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Overconfident scores of films of which one in five is positive, with balanced weights."""
    rng = np.random.default_rng(0)
    true = rng.normal(-1.4, 1.5, count)
    labels = (rng.random(count) < expit(true)).astype(int)
    return 1.5 * true + np.log(4), labels


def test_it_is_what_the_definition_says() -> None:
    probabilities = np.array([0.02, 0.08, 0.55, 0.55, 0.95, 1.0])
    labels = np.array([0, 1, 1, 0, 1, 1])

    # Of bins [0, 0.1), [0.5, 0.6) and [0.9, 1]: two images each.
    expected = 2 / 6 * abs(0.05 - 0.5) + 2 / 6 * abs(0.55 - 0.5) + 2 / 6 * abs(0.975 - 1.0)
    assert expected_calibration_error(probabilities, labels) == pytest.approx(expected)
    # In one bin it is calibration in the large.
    one_bin = expected_calibration_error(probabilities, labels, bins=1)
    assert one_bin == pytest.approx(abs(probabilities.mean() - labels.mean()))


def test_it_is_zero_for_frequencies_and_one_for_certain_mistakes() -> None:
    labels = np.array([1, 0, 0, 0])
    assert expected_calibration_error(np.full(4, 0.25), labels) == pytest.approx(0)
    assert expected_calibration_error(1.0 - labels, labels) == 1


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 1)), min_size=1), st.integers(1, 30))
def test_it_is_a_share_and_knows_no_order(films: list[tuple[float, int]], bins: int) -> None:
    probabilities, labels = (np.array(column) for column in zip(*films, strict=True))

    error = expected_calibration_error(probabilities, labels, bins)

    assert 0 <= error <= 1
    assert expected_calibration_error(probabilities[::-1], labels[::-1], bins) == pytest.approx(
        error
    )


def test_no_image_has_no_error() -> None:
    with pytest.raises(ValueError, match="no image"):
        expected_calibration_error(np.array([]), np.array([]))


@pytest.mark.parametrize("seed", range(5))
def test_calibration_helps_images_that_it_was_not_fitted_on(seed: int) -> None:
    logits, labels = simulate_class_weights(400)

    error = cross_fit(logits, labels, fit, seed=seed)

    assert error is not None
    assert error.ece_before > 0.1
    assert error.ece_after < 0.5 * error.ece_before
    assert (error.images, error.folds, error.bins) == (400, 5, 10)


def test_no_image_is_calibrated_by_what_was_fitted_on_its_patient() -> None:
    logits, labels = simulate_class_weights(200)
    patients = [f"patient {number // 4}" for number in range(200)]
    of_logit = dict(zip(logits, patients, strict=True))
    measured = []

    def watched(fitted_on: np.ndarray, _: np.ndarray) -> object:
        known = {of_logit[value] for value in fitted_on}

        def calibration(held_out: np.ndarray) -> np.ndarray:
            assert not known & {of_logit[value] for value in held_out}
            measured.extend(held_out)
            return expit(held_out)

        return calibration

    error = cross_fit(logits, labels, watched, seed=1, patients=patients)

    assert sorted(measured) == sorted(logits)
    assert error is not None
    assert error.ece_after == error.ece_before


@pytest.mark.parametrize("patients", [None, ["one"] * 4 + [str(n) for n in range(46)]])
def test_with_fewer_patients_of_a_class_than_folds_there_is_none(
    patients: list[str] | None,
) -> None:
    positives = 4 if patients is None else 7
    labels = (np.arange(50) < positives).astype(int)

    assert cross_fit(np.linspace(1, -1, 50), labels, fit, seed=1, patients=patients) is None
