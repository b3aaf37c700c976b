"""Embeddings on disk, by the content of what they were made from."""

from __future__ import annotations

import logging
import os
import tempfile
import uuid
import zipfile
from collections.abc import Sequence, Set
from pathlib import Path

import numpy as np

# A pass that is killed loses at most so many images.
_SHARD = 512


class EmbeddingCache:
    """Rows of float32 by the sha256 of the image, for one embedder.

    A folder of shards that are written aside and renamed, never changed: a crash leaves no half
    shard, and two writers at worst compute the same rows twice.
    """

    def __init__(self, root: Path, embedder_key: str, features: int):
        """Open, and read what is there.

        Args:
          root: folder of all caches.
          embedder_key: what tells this embedder (weights, preprocessing, precision) from others.
          features: length of an embedding.
        """
        self._folder = root / "embeddings" / embedder_key
        self._folder.mkdir(parents=True, exist_ok=True)
        self._features = features
        self._rows: dict[str, np.ndarray] = {}
        self._unsaved: dict[str, np.ndarray] = {}
        for shard in sorted(self._folder.glob("*.npz")):
            try:
                self._rows |= self._read(shard)
            except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
                logging.warning("embedding cache: %s is not readable, ignored: %s", shard, error)

    def keys(self) -> Set[str]:
        """The images whose embedding is here."""
        return self._rows.keys()

    def get(self, sha256: Sequence[str]) -> np.ndarray:
        """Rows in the order asked for: float32 [len(sha256), features].

        Raises:
          KeyError: if one is not here.
        """
        if not sha256:
            return np.empty((0, self._features), np.float32)
        return np.stack([self._rows[key] for key in sha256])

    def add(self, sha256: Sequence[str], rows: np.ndarray) -> None:
        """Take rows in, float32 [len(sha256), features]; now and then, save them."""
        new = dict(zip(sha256, rows, strict=True))
        self._rows |= new
        self._unsaved |= new
        if len(self._unsaved) >= _SHARD:
            self.save()

    def save(self) -> None:
        """Write what is not yet on disk."""
        if not self._unsaved:
            return
        handle, aside = tempfile.mkstemp(dir=self._folder, suffix=".tmp")
        with os.fdopen(handle, "wb") as file:
            np.savez(
                file,
                sha256=np.array(list(self._unsaved)),
                rows=np.stack(list(self._unsaved.values())).astype(np.float32),
            )
        Path(aside).rename(self._folder / f"{uuid.uuid4().hex}.npz")
        self._unsaved = {}

    def _read(self, shard: Path) -> dict[str, np.ndarray]:
        with np.load(shard) as arrays:
            keys, rows = arrays["sha256"].tolist(), arrays["rows"]
        if rows.shape != (len(keys), self._features):
            raise ValueError(f"{len(keys)} images with rows of shape {rows.shape}")
        return dict(zip(keys, rows, strict=True))
