"""How rows of activations are kept in files: shards, each an array and the names of its rows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from components.errors import InputError

FLOAT32 = "float32"
BFLOAT16 = "bfloat16"

# A shard is an array, in numpy's own format, and beside it a list of names, in JSON.
DATA = ".npy"
INDEX = ".json"


class RowFormat:
    """Rows of one shape, in one dtype.

    Attributes:
      shape: of a row.
      dtype: that rows are kept in: `float32`, `float16` or `bfloat16`.
    """

    def __init__(self, shape: Sequence[int], dtype: str = FLOAT32):
        self.shape = tuple(shape)
        self.dtype = dtype
        self._numpy = tf.dtypes.as_dtype(dtype).as_numpy_dtype
        # numpy's files know no bfloat16.
        self._stored = np.uint16 if dtype == BFLOAT16 else self._numpy

    @property
    def row_bytes(self) -> int:
        """What a row takes, in bytes."""
        return int(np.prod(self.shape)) * np.dtype(self._stored).itemsize

    def pack(self, names: Sequence[str], rows: np.ndarray) -> np.ndarray:
        """Rows, float32 [len(names), *shape], as they are stored.

        Raises:
          InputError: if a row holds no numbers, or numbers too large for the dtype.
        """
        with np.errstate(over="ignore"):
            kept = rows.astype(self._numpy)
        finite = np.isfinite(kept.astype(np.float32)).reshape(len(kept), -1).all(axis=1)
        if not finite.all():
            wrong = int(np.argmin(finite))
            raise InputError(_not_finite(names[wrong], rows[wrong]))
        return kept.view(self._stored)

    def unpack(self, stored: np.ndarray) -> np.ndarray:
        """Stored rows in the dtype that they are of."""
        return stored.view(self._numpy)

    def load(self, index: Path) -> tuple[list[str], np.ndarray]:
        """The names of a shard's rows; and the rows as they are stored, memory-mapped.

        Args:
          index: the file of names, with the array beside it.

        Raises:
          OSError: if a file is not there.
          ValueError: if it is no such shard, or not all of one (EOFError: or nothing of one).
        """
        names = json.loads(index.read_bytes())
        rows = np.asarray(np.load(index.with_suffix(DATA), mmap_mode="r"))
        if rows.shape != (len(names), *self.shape) or rows.dtype != self._stored:
            raise ValueError(f"{len(names)} names, and rows of {rows.dtype} {rows.shape}")
        return names, rows


def _not_finite(name: str, row: np.ndarray) -> str:
    if np.isfinite(row).all():
        return (
            f"image {name}: an activation of {np.abs(row).max():.3g} is too large for the cache's "
            "float16: --set trainer.cache.dtype=bfloat16"
        )
    return f"image {name}: the backbone's answer holds no numbers; are its weights sound?"
