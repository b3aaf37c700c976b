"""Which test images are made worse."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def stratified_sample(
    datasets: NDArray[np.str_], classes: NDArray[np.int64], max_images: int, seed: int
) -> NDArray[np.intp]:
    """Some images of each dataset, its classes in their shares, and none left out.

    Args:
      datasets: str [N].
      classes: int64 [N].
      max_images: of a dataset; one with fewer is taken whole.
      seed: chooses among the images of a class.

    Returns:
      Rows, in order.
    """
    rng = np.random.default_rng(seed)
    chosen = []
    for dataset in np.unique(datasets):
        rows = np.flatnonzero(datasets == dataset)
        # How far down its shuffled class an image stands: the least of all classes are taken.
        depth = np.empty(len(rows))
        for one in np.unique(classes[rows]):
            members = np.flatnonzero(classes[rows] == one)
            depth[members] = rng.permutation(len(members)) / len(members)
        chosen.append(rows[np.argsort(depth, kind="stable")[:max_images]])
    return np.sort(np.concatenate(chosen))
