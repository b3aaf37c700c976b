"""The figures of many resamples at once are those of the images themselves, repeated."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from components.statistics import repeated, roc
from components.statistics.bootstrap import patient_bootstrap, repeated_bootstrap
from components.statistics.calibration import brier
from components.trainer.calibration_error import bin_gaps, expected_calibration_error

IMAGES = 60


@pytest.fixture(scope="module", params=[3, 0.2, 0.04], ids=["distinct", "ties", "rare"])
def drawn(request: pytest.FixtureRequest) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels and probabilities, [N, 3], of which one output may have no positive; 200 resamples."""
    rng = np.random.default_rng(3)
    share = min(request.param, 0.3)
    labels = (rng.random((IMAGES, 3)) < [share, 0.5, 0]).astype(np.int64)
    labels[0, 0] = 1
    scores = np.clip(rng.normal(0.4 + 0.2 * labels, 0.2), 0, 1)
    scores = np.round(scores, 1) if request.param == 0.2 else scores
    times = rng.multinomial(IMAGES, np.full(IMAGES, 1 / IMAGES), size=200).T
    return labels, scores, times.astype(np.int32)


def one_by_one(times: np.ndarray, figure: Callable[[np.ndarray], float]) -> list[float]:
    found = []
    for column in times.T:
        try:
            found.append(figure(np.repeat(np.arange(IMAGES), column)))
        except roc.OneClassError:
            found.append(np.nan)
    return found


def test_areas_are_those_of_the_repeated_images(drawn: tuple[np.ndarray, ...]) -> None:
    labels, scores, times = drawn
    for k in range(3):
        y, s = labels[:, k], scores[:, k]
        areas = repeated.auc(y, s)(times)
        np.testing.assert_array_equal(
            areas, one_by_one(times, lambda i, y=y, s=s: roc.auc(y[i], s[i]))
        )
        np.testing.assert_allclose(
            repeated.average_precision(y, s)(times),
            one_by_one(times, lambda i, y=y, s=s: roc.average_precision(y[i], s[i])),
            rtol=1e-12,
        )
    assert np.isnan(areas).all()
    np.testing.assert_allclose(
        repeated.macro_auc(labels, scores)(times),
        one_by_one(times, lambda i: roc.macro_auc(labels[i], scores[i])),
        rtol=1e-12,
    )


def test_errors_are_those_of_the_repeated_images(drawn: tuple[np.ndarray, ...]) -> None:
    labels, scores, times = drawn
    y, s = labels[:, 1], scores[:, 1]
    np.testing.assert_allclose(
        repeated.mean((s - y) ** 2)(times),
        one_by_one(times, lambda i: brier(s[i], y[i])),
        rtol=1e-12,
    )
    np.testing.assert_allclose(
        repeated.mean_distance(*bin_gaps(s, y))(times),
        one_by_one(times, lambda i: expected_calibration_error(s[i], y[i])),
        rtol=1e-12,
    )


@pytest.mark.parametrize("figure", [repeated.auc, repeated.average_precision])
def test_a_score_that_is_nan_is_refused(figure: Callable[..., object]) -> None:
    with pytest.raises(ValueError, match="a score is nan"):
        figure(np.array([0, 1]), np.array([0.5, np.nan]))


@pytest.mark.parametrize("centred", [False, True])
def test_the_interval_is_that_of_one_resample_after_the_other(
    centred: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("components.statistics.bootstrap._MOST_COUNTS", 1000)  # several at a time
    rng = np.random.default_rng(0)
    labels, patients = np.repeat([1, 0, 0, 0], 5), np.arange(20) // 2
    scores = rng.normal(labels, 1)

    fast = repeated_bootstrap(repeated.auc(labels, scores), patients, centred=centred)

    assert "undefined" in fast.method
    assert fast == patient_bootstrap(
        lambda i: roc.auc(labels[i], scores[i]), patients, centred=centred
    )


def test_what_is_undefined_has_no_interval() -> None:
    one_class = repeated.auc(np.ones(6, int), np.arange(6.0))
    with pytest.raises(ValueError, match="of all images is nan"):
        repeated_bootstrap(one_class, np.arange(6))
    with pytest.raises(ValueError, match=r"undefined in \d+ of 1000"):
        repeated_bootstrap(
            lambda times: np.where((times == 1).all(axis=0), 1.0, np.nan), np.arange(6)
        )
    with pytest.raises(ValueError, match="takes two of them"):
        repeated_bootstrap(repeated.mean(np.arange(6.0)), np.zeros(6))
