"""Films taken apart before models whose reasons are known."""

from __future__ import annotations

import numpy as np
import pytest

from components.explanation_probe import faithfulness
from components.explanation_probe.faithfulness import CENTRE, DELETION, HEAT, INSERTION, RANDOM

SIDE = 32


def spotted_film() -> np.ndarray:
    """Grey, with a bright spot in the lower left quarter."""
    grey = np.full((SIDE, SIDE), 0.3, np.float32)
    grey[20:28, 4:12] = 1.0
    return np.repeat(grey[..., None], 3, axis=-1)


def sees_the_spot(films: np.ndarray) -> np.ndarray:
    return films[:, 16:, :16].mean(axis=(1, 2, 3), dtype=np.float64)


def take_apart(heat: np.ndarray, steps: int = 4, seed: int = 0) -> faithfulness.Curves:
    rng = np.random.default_rng(seed)
    return faithfulness.take_apart(spotted_film(), heat, sees_the_spot, steps=steps, rng=rng)


def test_a_map_that_knows_the_spot_beats_orders_that_know_nothing() -> None:
    heat = np.zeros((4, 4), np.float32)
    heat[2:, :2] = 1.0
    curves = take_apart(heat)
    deleted = {order: faithfulness.area(one) for order, one in curves.deletion.items()}
    inserted = {order: faithfulness.area(one) for order, one in curves.insertion.items()}
    assert deleted[HEAT] < min(deleted[RANDOM], deleted[CENTRE])
    assert inserted[HEAT] > max(inserted[RANDOM], inserted[CENTRE])
    # Without the quarter with the spot the film is as good as blurred; with it alone, as whole.
    assert curves.deletion[HEAT][1] == pytest.approx(curves.deletion[HEAT][-1])
    assert curves.insertion[HEAT][1] == pytest.approx(curves.insertion[HEAT][-1])


def test_a_map_of_the_wrong_place_is_worse_than_chance() -> None:
    heat = np.ones((4, 4), np.float32)
    heat[2:, :2] = 0.0
    curves = take_apart(heat)
    assert faithfulness.area(curves.deletion[HEAT]) > faithfulness.area(curves.deletion[RANDOM])


def test_every_curve_leads_from_the_film_to_its_blur_or_back() -> None:
    curves = take_apart(np.random.default_rng(3).random((5, 5)), steps=6)
    whole = sees_the_spot(spotted_film()[None])[0]
    nothing = sees_the_spot(faithfulness.blur(spotted_film())[None])[0]
    assert whole > nothing
    for order in faithfulness.ORDERS:
        assert curves.deletion[order][[0, -1]].tolist() == [whole, nothing]
        assert curves.insertion[order][[0, -1]].tolist() == [nothing, whole]
        assert len(curves.deletion[order]) == len(curves.insertion[order]) == 7


def test_a_step_takes_out_the_cells_that_are_its_turn() -> None:
    seen = []

    def remember(films: np.ndarray) -> np.ndarray:
        seen.extend(films)
        return np.zeros(len(films))

    film = np.random.default_rng(0).random((8, 8, 3)).astype(np.float32)
    heat = np.array([[4.0, 3.0], [2.0, 1.0]])
    faithfulness.take_apart(film, heat, remember, steps=4, rng=np.random.default_rng(0))
    blurred = faithfulness.blur(film)
    hottest_out = seen[2]
    assert (hottest_out[:4, :4] == blurred[:4, :4]).all()
    assert (hottest_out[4:] == film[4:]).all()
    assert (hottest_out[:, 4:] == film[:, 4:]).all()
    # The first to come back is the hottest one, too.
    hottest_in = next(one for one in seen[11:] if (one[4:, 4:] == blurred[4:, 4:]).all())
    assert (hottest_in[:4, :4] == film[:4, :4]).all()


def test_ties_and_the_random_order_come_from_the_seed() -> None:
    flat = np.zeros((6, 6))
    first, again, other = (take_apart(flat, seed=seed) for seed in (1, 1, 2))
    for what in (DELETION, INSERTION):
        assert getattr(first, what)[RANDOM].tolist() == getattr(again, what)[RANDOM].tolist()
        assert getattr(first, what)[HEAT].tolist() == getattr(again, what)[HEAT].tolist()
    assert first.deletion[RANDOM].tolist() != other.deletion[RANDOM].tolist()


def test_areas_of_known_curves() -> None:
    assert faithfulness.area(np.linspace(1, 0, 11)) == pytest.approx(0.5)
    assert faithfulness.area(np.array([1.0, 0.0, 0.0])) == pytest.approx(0.25)
