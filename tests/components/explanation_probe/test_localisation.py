"""Heat held against boxes, and the floors that look at no film."""

from __future__ import annotations

import numpy as np
import pytest

from components.explanation_probe import localisation
from components.explanation_probe.boxes import RASTER, box_mask, enlarge
from components.explanation_probe.localisation import (
    CENTRE,
    ENERGY,
    IOU,
    MODEL,
    POINTING,
    PRIOR,
    RANDOM,
    BoxedFilm,
)

QUARTER = (0.5, 0.0, 0.5, 0.5)  # upper right


def film(patient: str, *boxes: tuple[float, float, float, float]) -> BoxedFilm:
    return BoxedFilm(sha256=patient, patient=patient, dataset="nih", split="test", boxes=boxes)


def heat_at(row: int, column: int, side: int = 4) -> np.ndarray:
    heat = np.zeros((side, side), np.float32)
    heat[row, column] = 2.0
    return heat


def test_a_box_covers_the_pixels_whose_centres_it_holds() -> None:
    mask = box_mask([QUARTER], (4, 4))
    assert mask.tolist() == [[False, False, True, True]] * 2 + [[False] * 4] * 2
    assert box_mask([QUARTER, (0.0, 0.5, 0.5, 0.5)]).mean() == 0.5


def test_the_tolerance_is_a_distance_beside_the_box() -> None:
    box = (0.5, 0.5, 0.1, 0.1)
    grown = box_mask([box], (1000, 1000), tolerance=0.05).mean()
    # The box, a strip along each side, and a quarter of a disk at each corner.
    assert grown == pytest.approx(0.1**2 + 4 * 0.1 * 0.05 + np.pi * 0.05**2, rel=0.01)


def test_the_centre_of_the_hottest_cell_points() -> None:
    assert localisation.pointing(heat_at(0, 3), [QUARTER], 0.0) == 1.0
    assert localisation.pointing(heat_at(3, 3), [QUARTER], 0.0) == 0.0
    beside = (0.5, 0.0, 0.5, 0.3)  # the cell's centre is 0.075 below
    assert localisation.pointing(heat_at(1, 3), [beside], 0.05) == 0.0
    assert localisation.pointing(heat_at(1, 3), [beside], 0.08) == 1.0


def test_of_cells_that_are_equally_hot_each_counts_for_its_share() -> None:
    assert localisation.pointing(np.ones((4, 4)), [QUARTER], 0.0) == 0.25


def test_a_map_without_heat_reaches_nothing() -> None:
    nothing, mask = np.zeros((RASTER, RASTER)), box_mask([QUARTER])
    assert localisation.pointing(nothing, [QUARTER], 0.1) == 0.0
    assert localisation.energy(nothing, mask) == 0.0
    assert not localisation.overlap(nothing, mask).any()


def test_energy_is_the_share_of_heat_in_the_boxes() -> None:
    heat = np.array([[1.0, 3.0], [2.0, 2.0]], np.float32)
    nearest = np.kron(heat, np.ones((RASTER // 2, RASTER // 2)))
    assert localisation.energy(nearest, box_mask([QUARTER])) == pytest.approx(3 / 8)


def test_overlap_of_the_box_itself_is_whole_at_every_threshold() -> None:
    mask = box_mask([QUARTER])
    assert (localisation.overlap(mask.astype(float), mask) == 1).all()
    assert localisation.overlap(np.ones((RASTER, RASTER)), mask)[0] == 0.25


def test_a_threshold_is_tuned_on_films_of_other_patients_alone() -> None:
    overlaps = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.6], [0.0, 0.3]])
    patients = np.array(["a", "a", "b", "c"])
    # For a, b and c are best at the second; for b and c, a's two films decide for the first.
    found = localisation.at_tuned_threshold(overlaps, patients)
    assert found.tolist() == [0.1, 0.2, 0.1, 0.0]


def test_the_prior_of_a_film_is_the_mean_of_other_patients_boxes() -> None:
    left, right = (0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 0.5, 1.0)
    # b has two films, and counts once.
    known = [film("a", left), film("b", right), film("b", left), film("c", right)]
    priors = localisation.location_priors(["a", "b", "new"], known)
    assert priors is not None
    of_a, of_b, of_new = priors
    assert (of_a[0, 0], of_a[0, -1]) == (0.25, 0.75)
    assert (of_b[0, 0], of_b[0, -1]) == (0.5, 0.5)
    assert of_new[0, 0] == pytest.approx(0.5)
    assert localisation.location_priors(["a"], known[:1]) is None


def test_floors_by_hand_and_a_model_that_knows() -> None:
    boxes = [QUARTER, (0.5, 0.0, 0.5, 0.5), (0.0, 0.5, 0.5, 0.5)]
    films = [film(str(number), box) for number, box in enumerate(boxes)]
    maps = [heat_at(0, 3), heat_at(0, 3), heat_at(3, 0)]
    found = localisation.localise(films, maps, films, tolerance=0.0)

    assert found[POINTING][MODEL].tolist() == [1, 1, 1]
    assert found[POINTING][RANDOM].tolist() == found[ENERGY][RANDOM].tolist() == [0.25] * 3
    # The four pixels around the centre: one in each quarter.
    assert found[POINTING][CENTRE].tolist() == [0.25] * 3
    # The first two know of each other and of the third, whose box is elsewhere.
    assert found[POINTING][PRIOR].tolist() == [0.5, 0.5, 0.0]
    assert found[ENERGY][PRIOR].tolist() == pytest.approx([0.5, 0.5, 0.0])
    assert found[ENERGY][CENTRE] == pytest.approx([0.25] * 3)
    assert (found[IOU][MODEL] > 0.3).all()
    assert set(found[IOU]) == {MODEL, RANDOM, CENTRE, PRIOR}


def test_the_expectation_of_the_random_floor_is_that_of_drawn_places() -> None:
    one = film("a", (0.2, 0.3, 0.25, 0.4), (0.6, 0.1, 0.2, 0.2))
    places = np.random.default_rng(0).uniform(size=(20_000, 2))
    x, y = places[:, 0], places[:, 1]
    hits = np.zeros(len(places), bool)
    for left, top, width, height in one.boxes:
        nearest = np.clip(x, left, left + width), np.clip(y, top, top + height)
        hits |= np.hypot(x - nearest[0], y - nearest[1]) <= 0.03
    found = localisation.localise([one], [heat_at(0, 0)], [one], tolerance=0.03)
    assert found[POINTING][RANDOM][0] == pytest.approx(hits.mean(), abs=0.01)
    # No other patient's boxes are known.
    assert PRIOR not in found[POINTING]


def test_maps_are_enlarged_about_the_centres_of_their_cells() -> None:
    pixels = enlarge(heat_at(1, 2))
    row, column = np.unravel_index(pixels.argmax(), pixels.shape)
    assert ((row + 0.5) / RASTER, (column + 0.5) / RASTER) == pytest.approx(
        (0.375, 0.625), abs=0.01
    )
