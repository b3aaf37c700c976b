"""How far apart requests and training films are, by TFDV."""

from __future__ import annotations

import numpy as np
import pytest

from components.drift.comparison import FEWEST, Comparison, compare, limit
from components.trainer.monitoring import generate_statistics


def by_name(found: list[Comparison]) -> dict[str, Comparison]:
    return {one.name: one for one in found}


def draw(count: int, seed: int, features: int = 40) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    kinds = (
        rng.normal,
        lambda size: rng.beta(0.5, 0.3, size),
        lambda size: rng.lognormal(size=size),
    )
    return {f"scalar {i}": kinds[i % 3](size=count) for i in range(features)}


@pytest.mark.parametrize(("trained", "served"), [(1024, FEWEST), (60, 500)])
def test_what_is_the_same_does_not_move(trained: int, served: int) -> None:
    found = compare(draw(served, 2), generate_statistics(draw(trained, 1)))

    assert len(found) == 40
    assert not [one for one in found if one.moved]
    assert max(one.divergence or 0 for one in found) > limit(trained, served) / 3


def test_what_shifted_moved_from_one_median_to_the_other() -> None:
    rng = np.random.default_rng(1)
    trained = {"mean": rng.normal(0.4, 0.1, 1000), "std": rng.normal(0.2, 0.05, 1000)}
    served = {"mean": rng.normal(0.47, 0.1, 1000), "std": rng.normal(0.2, 0.05, 1000)}

    found = by_name(compare(served, generate_statistics(trained)))

    assert found["mean"].moved
    assert found["mean"].before == pytest.approx(0.4, abs=0.02)
    assert found["mean"].now == pytest.approx(0.47, abs=0.02)
    assert not found["std"].moved


def test_numbers_with_nothing_in_common_are_as_far_apart_as_can_be() -> None:
    rng = np.random.default_rng(1)
    trained = generate_statistics({"mean": rng.uniform(0, 1, 200)})

    (found,) = compare({"mean": rng.uniform(5, 6, 200)}, trained)

    assert found.moved
    assert found.divergence == pytest.approx(1.0)


def test_missing_values_do_not_count() -> None:
    values = np.random.default_rng(1).normal(size=200)
    few = np.where(np.arange(200) < FEWEST - 1, values, np.nan)
    trained = generate_statistics({"distance": few, "mean": values})

    found = by_name(compare({"distance": values + 9, "mean": few}, trained))

    assert found["distance"].trained == FEWEST - 1
    assert found["mean"].served == FEWEST - 1
    assert [one.divergence for one in found.values()] == [None, None]


def test_a_scalar_that_was_not_logged_is_not_guessed() -> None:
    trained = generate_statistics({"mean": np.random.default_rng(1).normal(size=200)})

    (found,) = compare({}, trained)

    assert (found.served, found.now, found.moved) == (0, None, False)
