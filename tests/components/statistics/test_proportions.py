"""Shares and the predictive value, against published figures and on their edges."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.statistics.interval import Interval
from components.statistics.proportions import ppv_at, wilson

# The 70-gene signature and metastasis, of Mercaldo, Lau and Zhou (2007).
SIGNATURE = {
    "true_positives": 31,
    "false_positives": 12,
    "true_negatives": 32,
    "false_negatives": 3,
}


def ends(interval: Interval) -> tuple[float, float]:
    return interval.lower, interval.upper


# --- Wilson ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("successes", "total", "expected"),
    [
        (81, 263, (0.2553, 0.3662)),
        (15, 148, (0.0624, 0.1605)),
        (0, 20, (0.0, 0.1611)),
        (1, 29, (0.0061, 0.1718)),
    ],
)
def test_the_table_of_newcombe_1998(
    successes: int, total: int, expected: tuple[float, float]
) -> None:
    interval = wilson(successes, total)

    assert ends(interval) == pytest.approx(expected, abs=5e-5)
    assert (interval.estimate, interval.method) == (successes / total, "Wilson")


@given(st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_shares_are_within_their_interval_and_that_within_the_range(
    counts: tuple[int, int],
) -> None:
    successes, total = counts
    interval = wilson(successes, total)

    assert 0 <= interval.lower <= interval.estimate <= interval.upper <= 1
    assert interval.lower < interval.upper
    mirrored = wilson(total - successes, total)
    assert ends(mirrored) == pytest.approx((1 - interval.upper, 1 - interval.lower))
    # At its ends, the share is z deviations away.
    for end in ends(interval):
        distance, variance = interval.estimate - end, end * (1 - end) / total
        assert distance**2 == pytest.approx(1.959963985**2 * variance, abs=1e-9)


@pytest.mark.parametrize(("successes", "total"), [(0, 0), (3, 2), (-1, 2)])
def test_no_share(successes: int, total: int) -> None:
    with pytest.raises(ValueError, match="no share"):
        wilson(successes, total)


# --- The predictive value --------------------------------------------------------------------


def test_the_predictive_value_of_mercaldo_lau_and_zhou() -> None:
    # As computed by the R package CIfinder, "zhou", on the logit scale.
    ppv = ppv_at(0.07, **SIGNATURE)

    assert ppv.estimate == pytest.approx(0.2010444)
    assert ends(ppv) == pytest.approx((0.1331384, 0.2919216), abs=1e-6)
    assert ppv.method == "Mercaldo"


def test_without_a_false_positive() -> None:
    # Likewise, with continuity correction; the estimate is the plain one here.
    counts = SIGNATURE | {"false_positives": 0, "true_negatives": 44}
    ppv = ppv_at(0.07, **counts)

    assert (ppv.estimate, ppv.upper, ppv.method) == (1, 1, "Mercaldo, adjusted")
    assert ppv.lower == pytest.approx(0.2886800, abs=1e-6)


def test_at_the_prevalence_of_the_images_it_is_the_share_of_those_called_so() -> None:
    assert ppv_at(34 / 78, **SIGNATURE).estimate == pytest.approx(31 / 43)


def test_it_follows_the_prevalence() -> None:
    values = [ppv_at(p, **SIGNATURE) for p in (0.001, 0.01, 0.1, 0.5, 0.9)]

    estimates = [value.estimate for value in values]
    assert estimates == sorted(estimates)
    assert all(0 < v.lower < v.estimate < v.upper < 1 for v in values)


counts_of_a_class = st.tuples(st.integers(0, 30), st.integers(0, 30)).filter(any)


@given(counts_of_a_class, counts_of_a_class, st.floats(0.001, 0.999))
def test_an_interval_holds_its_estimate_on_every_edge(
    with_it: tuple[int, int], without: tuple[int, int], prevalence: float
) -> None:
    (true_positives, false_negatives), (false_positives, true_negatives) = with_it, without
    counts = {
        "true_positives": true_positives,
        "false_positives": false_positives,
        "true_negatives": true_negatives,
        "false_negatives": false_negatives,
    }
    if not true_positives + false_positives:
        with pytest.raises(ValueError, match="called positive"):
            ppv_at(prevalence, **counts)
        return
    interval = ppv_at(prevalence, **counts)
    assert 0 <= interval.lower <= interval.estimate <= interval.upper <= 1
    assert interval.lower < interval.upper
    assert interval.method == ("Mercaldo" if all(counts.values()) else "Mercaldo, adjusted")


def test_nineteen_of_twenty_intervals_hold_the_predictive_value() -> None:
    rng = np.random.default_rng(0)
    sensitivity, specificity, prevalence = 0.9, 0.95, 0.05
    ppv = sensitivity * prevalence / (sensitivity * prevalence + 0.05 * 0.95)
    held = []
    for _ in range(2000):
        found, spared = rng.binomial(60, sensitivity), rng.binomial(80, specificity)
        interval = ppv_at(
            prevalence,
            true_positives=found,
            false_negatives=60 - found,
            true_negatives=spared,
            false_positives=80 - spared,
        )
        held.append(interval.lower <= ppv <= interval.upper)

    assert 0.93 < np.mean(held) < 0.985


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"true_positives": 0, "false_negatives": 0}, "with and without"),
        ({"true_negatives": 0, "false_positives": 0}, "with and without"),
        ({"prevalence": 0.0}, "leaves nothing"),
        ({"prevalence": 1.0}, "leaves nothing"),
    ],
)
def test_what_predicts_nothing(changes: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ppv_at(**{"prevalence": 0.1, **SIGNATURE, **changes})
