"""Which films are tried."""

import numpy as np
import pytest

from components.robustness.sampling import stratified_sample

DATASETS = np.repeat(["nih", "pediatric"], [1000, 30])
CLASSES = np.concatenate([np.arange(1000) < 100, np.arange(30) < 20]).astype(int)


def test_classes_keep_their_shares_in_each_dataset():
    rows = stratified_sample(DATASETS, CLASSES, 50, seed=1)

    nih = rows[DATASETS[rows] == "nih"]
    assert len(nih) == 50
    assert CLASSES[nih].sum() == 5
    # A dataset with fewer is taken whole.
    assert rows[DATASETS[rows] == "pediatric"].tolist() == list(range(1000, 1030))


@pytest.mark.parametrize("max_images", [2, 20])
def test_a_rare_class_is_not_left_out(max_images):
    classes = (np.arange(1000) == 567).astype(int)

    rows = stratified_sample(np.repeat("nih", 1000), classes, max_images, seed=1)

    assert 567 in rows
    assert len(rows) == max_images


def test_the_seed_chooses():
    first, again, other = (stratified_sample(DATASETS, CLASSES, 50, seed) for seed in (1, 1, 2))

    assert first.tolist() == again.tolist()
    assert first.tolist() != other.tolist()
