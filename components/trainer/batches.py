"""Batches of activations and labels for Keras, in an order that only seed and epoch decide."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Protocol

import keras
import numpy as np


class Rows(Protocol):
    """Where the rows of a split are: in memory or memory-mapped."""

    def __call__(self, indices: np.ndarray, view: int) -> np.ndarray:
        """A view of some images, 0 for the image itself: float32 [len(indices), *shape]."""


@dataclasses.dataclass(frozen=True)
class Split:
    """A split that a part of the network is trained or judged on.

    Attributes:
      rows: what that part is fed.
      labels: float32 [N, K], 0 or 1.
      views: altered views of each image, beside the image itself.
    """

    rows: Rows
    labels: np.ndarray
    views: int = 0

    def __len__(self) -> int:
        """The number of images."""
        return len(self.labels)


def in_memory(arrays: Sequence[np.ndarray]) -> Rows:
    """Rows of one array for each view, float32 [N, *shape]."""
    return lambda indices, view: arrays[view][indices]


class Batches(keras.utils.PyDataset):
    """A split in batches; each epoch may have an order of its own."""

    def __init__(
        self,
        split: Split,
        batch_size: int,
        *,
        order: Callable[[int], np.ndarray] | None = None,
        seed: int = 0,
        first_epoch: int = 0,
    ):
        """Start at an epoch.

        Args:
          split: the images.
          batch_size: images in a batch; the last one may have fewer.
          order: the indices of an epoch's images; by default all, as they stand.
          seed: chooses the view of each image in each epoch.
          first_epoch: where a training is taken up again.
        """
        super().__init__()
        self._split = split
        self._batch_size = batch_size
        self._order = order or (lambda epoch: np.arange(len(split)))
        self._seed = seed
        self._epoch = first_epoch
        self._shuffle()

    def __len__(self) -> int:
        """Batches in an epoch."""
        return -(-len(self._indices) // self._batch_size)

    def __getitem__(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows and labels of one batch."""
        part = self._part(number)
        return self._read(np.arange(part.start, part.stop))

    def share(
        self, number: int, index: int, count: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What one of several workers trains on of a batch: every `count`-th image.

        All shares have the same shape, or workers would wait for one another for ever: what is
        missing in a short batch is filled up with an image that counts nothing.

        Args:
          number: of the batch.
          index: of the worker, from 0.
          count: of the workers.

        Returns:
          Rows and labels, and how much each counts in the batch's mean, float32 [n]: over all
          workers these add up to one.
        """
        part = self._part(number)
        batch = np.arange(part.start, part.stop)
        mine = batch[index::count]
        filled = np.full(-(-self._batch_size // count), batch[0])
        filled[: len(mine)] = mine
        weights = np.zeros(len(filled), np.float32)
        weights[: len(mine)] = 1 / len(batch)
        return *self._read(filled), weights

    @property
    def labels(self) -> np.ndarray:
        """Of this epoch's images, in its order: float32 [n, K]."""
        return self._split.labels[self._indices]

    def together(self, number: int, shares: np.ndarray) -> np.ndarray:
        """What all workers made of a batch, in the batch's order.

        Args:
          number: of the batch.
          shares: [count, n, ...], of each worker and row of its share.
        """
        part = self._part(number)
        rows = shares.swapaxes(0, 1).reshape(-1, *shares.shape[2:])
        return rows[: part.stop - part.start]

    def on_epoch_end(self) -> None:
        """Go on to the next epoch."""
        self._epoch += 1
        self._shuffle()

    def _shuffle(self) -> None:
        self._indices = self._order(self._epoch)
        rng = np.random.default_rng([self._seed, self._epoch, 1])
        self._views = rng.integers(0, self._split.views + 1, len(self._indices))

    def _part(self, number: int) -> slice:
        """Where a batch stands in the epoch's order."""
        start = number * self._batch_size
        return slice(start, min(start + self._batch_size, len(self._indices)))

    def _read(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows and labels of images, by their places in the epoch's order."""
        indices, views = self._indices[places], self._views[places]
        rows = self._split.rows(indices, 0)
        for view in np.unique(views[views > 0]):
            chosen = views == view
            rows[chosen] = self._split.rows(indices[chosen], int(view))
        return rows, self._split.labels[indices]
