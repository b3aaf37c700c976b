"""One scale for all films."""

import numpy as np
import pytest

from components.explanation.scale import fit_references


def test_it_is_the_99th_percentile_of_all_cells_of_each_output() -> None:
    maps = np.zeros((10, 2, 10, 10), np.float32)
    maps[:, 0] = np.random.default_rng(0).permutation(1000).reshape(10, 10, 10)
    maps[:, 1] = maps[:, 0] / 4

    one, other = fit_references(maps)

    assert one == pytest.approx(989, abs=1)  # of 0 to 999
    assert other == pytest.approx(one / 4)


def test_where_few_cells_are_positive_it_is_the_largest() -> None:
    maps = np.zeros((10, 1, 10, 10), np.float32)
    maps[3, 0, 2, 1] = 0.25

    assert fit_references(maps) == (0.25,)
    assert fit_references(np.zeros_like(maps)) == (0.0,)
