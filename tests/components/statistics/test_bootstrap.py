"""Resampling of patients: what is drawn, how wide it makes an interval, and what it cannot tell."""

from __future__ import annotations

import numpy as np
import pytest

from components.statistics.bootstrap import patient_bootstrap, precision_recall_band, roc_band
from components.statistics.calibration import brier
from components.statistics.interval import Interval
from components.statistics.roc import auc, auc_interval, average_precision, macro_auc
from components.trainer.calibration_error import expected_calibration_error


def simulate(
    patients: int, images_each: int, *, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, scores and patients; a patient's images have one label and nearly one score."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, patients)
    scores = rng.normal(labels, 1.0)
    names = np.array([f"patient {n:05d}" for n in range(patients)])
    each = np.repeat(np.arange(patients), images_each)
    return labels[each], scores[each] + rng.normal(0, 0.01, len(each)), names[each]


def width(interval: Interval) -> float:
    return interval.upper - interval.lower


# --- What is drawn ---------------------------------------------------------------------------


def test_patients_are_drawn_with_all_of_their_images() -> None:
    patients = np.array(["b", "a", "b", "c", "a", "b"])
    draws: list[np.ndarray] = []
    patient_bootstrap(lambda images: draws.append(images) or 0.0, patients, resamples=200)

    assert draws[0].tolist() == [0, 1, 2, 3, 4, 5]
    times = np.array([np.bincount(images, minlength=6) for images in draws[1:]])
    assert len(times) == 200
    for name in "abc":
        of_one = times[:, patients == name]
        assert (of_one == of_one[:, :1]).all()
    drawn = times[:, [1, 0, 3]]
    assert (drawn.sum(axis=1) == 3).all()
    assert drawn.max() == 3
    assert drawn.mean(axis=0) == pytest.approx([1, 1, 1], abs=0.2)


def test_with_an_image_of_each_it_is_the_ordinary_bootstrap() -> None:
    labels, scores, patients = simulate(80, 1)
    rng = np.random.default_rng(7)
    draws = [rng.integers(80, size=80) for _ in range(300)]
    expected = np.quantile([auc(labels[d], scores[d]) for d in draws], [0.05, 0.95])

    interval = patient_bootstrap(
        lambda i: auc(labels[i], scores[i]), patients, resamples=300, seed=7, level=0.9
    )

    assert (interval.lower, interval.upper) == pytest.approx(tuple(expected))
    assert interval.estimate == auc(labels, scores)
    assert (interval.level, interval.method) == (0.9, "bootstrap of patients, 300 resamples")


def test_a_seed_repeats_itself() -> None:
    labels, scores, patients = simulate(40, 3)

    def interval(seed: int) -> Interval:
        return patient_bootstrap(
            lambda i: auc(labels[i], scores[i]), patients, resamples=100, seed=seed
        )

    assert interval(1) == interval(1)
    assert interval(1) != interval(2)


# --- How wide it is --------------------------------------------------------------------------


def test_it_agrees_with_delong_on_an_image_of_each() -> None:
    labels, scores, patients = simulate(400, 1)

    interval = patient_bootstrap(lambda i: auc(labels[i], scores[i]), patients)

    delong = auc_interval(labels, scores)
    assert (interval.lower, interval.upper) == pytest.approx((delong.lower, delong.upper), abs=0.01)


def test_images_of_one_patient_say_little_more_than_one() -> None:
    labels, scores, patients = simulate(100, 9)

    by_patient = patient_bootstrap(lambda i: auc(labels[i], scores[i]), patients)
    by_image = patient_bootstrap(lambda i: auc(labels[i], scores[i]), np.arange(len(labels)))

    assert width(by_image) == pytest.approx(width(auc_interval(labels, scores)), rel=0.2)
    # Nine times the images, a third of the width: it ought to be that of single ones.
    assert width(by_patient) == pytest.approx(3 * width(by_image), rel=0.25)
    single = auc_interval(labels[::9], scores[::9])
    assert width(by_patient) == pytest.approx(width(single), rel=0.2)


def test_nine_of_ten_intervals_hold_the_area_of_clustered_images() -> None:
    area, held = 0.7602499, []  # of two normal distributions a deviation apart
    for seed in range(100):
        labels, scores, patients = simulate(60, 4, seed=seed)
        interval = patient_bootstrap(
            lambda i, y=labels, s=scores: auc(y[i], s[i]),
            patients,
            resamples=200,
            level=0.9,
        )
        held.append(interval.lower <= area <= interval.upper)

    assert 0.82 <= np.mean(held) <= 0.97


def test_any_figure_can_be_resampled() -> None:
    labels, scores, patients = simulate(150, 2)
    probabilities = 1 / (1 + np.exp(-scores))
    both = np.stack([labels, 1 - labels], axis=1)
    others = np.stack([scores, -scores], axis=1)

    for figure in (
        lambda i: average_precision(labels[i], scores[i]),
        lambda i: brier(probabilities[i], labels[i]),
        lambda i: macro_auc(both[i], others[i]),
        lambda i: auc(labels[i], scores[i]) - auc(labels[i], np.round(scores[i])),
    ):
        interval = patient_bootstrap(figure, patients, resamples=200)
        assert interval.lower < interval.estimate < interval.upper
    ece = patient_bootstrap(
        lambda i: expected_calibration_error(probabilities[i], labels[i]), patients, resamples=200
    )
    assert ece.estimate == expected_calibration_error(probabilities, labels)
    assert 0 < ece.lower < ece.upper < 0.3


# --- What it cannot tell ---------------------------------------------------------------------


def test_resamples_of_one_class_are_left_out_and_counted() -> None:
    labels = np.array([1, 1, 0, 0, 0, 0, 0, 0])
    scores = np.arange(8) % 3
    patients = np.arange(8)
    rng = np.random.default_rng(0)
    undefined = sum(len(np.unique(labels[rng.integers(8, size=8)])) == 1 for _ in range(500))
    assert 20 < undefined < 100  # (6/8)^8 = 0.10

    interval = patient_bootstrap(lambda i: auc(labels[i], scores[i]), patients, resamples=500)
    as_nan = patient_bootstrap(
        lambda i: auc(labels[i], scores[i]) if 0 < labels[i].sum() < 8 else np.nan,
        patients,
        resamples=500,
    )

    assert interval.method.endswith(f"500 resamples, {undefined} of them undefined")
    assert interval == as_nan


def test_too_few_defined_resamples_are_no_interval() -> None:
    labels, patients = np.array([1, 0, 0, 0, 0, 0]), np.arange(6)

    with pytest.raises(ValueError, match=r"undefined in [78]\d of 100"):
        patient_bootstrap(
            lambda i: auc(labels[i], i) if len(np.unique(i)) > 4 else np.nan,
            patients,
            resamples=100,
        )
    with pytest.raises(ValueError, match="two of them"):
        patient_bootstrap(lambda i: 0.0, np.full(6, "one"))
    with pytest.raises(ValueError, match="of all images is nan"):
        patient_bootstrap(lambda i: np.nan, patients)
    with pytest.raises(ValueError, match="0 positives"):
        patient_bootstrap(lambda i: auc(labels[i] * 0, i), patients)


def test_a_mistake_in_the_statistic_is_not_taken_for_a_class_that_lacks() -> None:
    def fails_on_resamples(images: np.ndarray) -> float:
        if len(np.unique(images)) < 10:
            raise ValueError("a mistake")
        return 0.0

    with pytest.raises(ValueError, match="a mistake"):
        patient_bootstrap(fails_on_resamples, np.arange(10))


# --- Bands -----------------------------------------------------------------------------------


def test_the_centre_of_the_roc_band_is_the_curve() -> None:
    labels = np.array([1, 1, 0, 1, 0, 1, 0, 0, 1, 0])
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.5, 0.3, 0.2, 0.1, 0.05])
    band = roc_band(labels, scores, np.arange(10), points=11, resamples=50)

    assert band.x.tolist() == pytest.approx(np.arange(11) / 10)
    # Straight up to 0.4 and, past the negative of 0.7, to 0.6; the tie is a slope to (0.4, 0.8).
    expected = [0.4, 0.4, 0.6, 0.7, 0.8, 0.8, 0.8, 0.8, 1, 1, 1]
    assert band.centre.tolist() == pytest.approx(expected, abs=1e-6)


def test_the_centre_of_the_precision_recall_band_is_the_curve() -> None:
    labels = np.array([1, 0, 1, 0, 0])
    scores = np.array([0.9, 0.5, 0.5, 0.2, 0.1])
    band = precision_recall_band(labels, scores, np.arange(5), points=5, resamples=50)

    assert band.centre.tolist() == pytest.approx([1, 1, 1, 2 / 3, 2 / 3])


def test_bands_have_the_areas_and_hold_the_curves() -> None:
    labels, scores, patients = simulate(200, 2)
    roc = roc_band(labels, scores, patients, points=1001, resamples=200)
    recall = precision_recall_band(labels, scores, patients, points=1001, resamples=200)

    assert np.trapezoid(roc.centre, roc.x) == pytest.approx(auc(labels, scores), abs=2e-3)
    area = np.trapezoid(recall.centre, recall.x)
    assert area == pytest.approx(average_precision(labels, scores), abs=2e-3)
    for band in (roc, recall):
        assert band.x.shape == band.centre.shape == band.lower.shape == band.upper.shape == (1001,)
        inside = (band.lower <= band.centre) & (band.centre <= band.upper)
        assert inside.mean() > 0.97
        assert 0.02 < np.mean(band.upper - band.lower) < 0.4
        assert band.method == "bootstrap of patients, 200 resamples"
    assert (np.diff(roc.lower) >= 0).all()
    assert (np.diff(roc.upper) >= 0).all()
    assert (roc.lower[-1], roc.upper[-1]) == (1, 1)


def test_a_band_of_patients_is_wider_than_one_of_images() -> None:
    labels, scores, patients = simulate(100, 9)

    for make in (roc_band, precision_recall_band):
        by_patient = make(labels, scores, patients, resamples=200)
        by_image = make(labels, scores, np.arange(len(labels)), resamples=200)
        assert np.mean(by_patient.upper - by_patient.lower) > 2 * np.mean(
            by_image.upper - by_image.lower
        )


def test_a_band_leaves_out_resamples_of_one_class() -> None:
    labels, scores = np.array([1, 1, 0, 0, 0, 0, 0, 0]), np.arange(8) % 3
    band = roc_band(labels, scores, np.arange(8), resamples=200)

    assert "of them undefined" in band.method
    assert not np.isnan(band.lower).any()


def test_a_distance_has_a_centred_interval_that_holds_it() -> None:
    rng = np.random.default_rng(0)
    probabilities = rng.uniform(size=800)
    labels = (rng.random(800) < probabilities).astype(int)
    patients = np.arange(800).astype(str)

    def error(images: np.ndarray) -> float:
        return expected_calibration_error(probabilities[images], labels[images])

    plain = patient_bootstrap(error, patients)
    centred = patient_bootstrap(error, patients, centred=True)

    # Resampling adds noise, and noise is distance.
    assert plain.upper - plain.estimate > 3 * (plain.estimate - plain.lower)
    assert centred.estimate == plain.estimate
    assert centred.upper - centred.lower == pytest.approx(plain.upper - plain.lower)
    assert centred.lower < centred.estimate < centred.upper
    assert centred.method.endswith("centred")
