"""From Examples to what is trained on: the answers of the network's frozen part."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tfx.dsl.io import fileio

from components import progress
from components.trainer import activations
from components.trainer.activation_cache import ActivationCache, evict
from components.trainer.batches import Split, in_memory
from components.trainer.embedded import Embedded
from components.trainer.frozen import freeze, resolve_precision
from components.trainer.frozen_part import (
    Preprocess,
    cache_name,
    frozen_part,
    kept_dtype,
    read_preprocessing,
)
from components.trainer.imbalance import TrainingError
from components.trainer.index import BATCH, Index, digest, read_index
from components.trainer.network import Network
from components.trainer.settings import TrainerSettings
from components.trainer.tasks import TASKS, Task

_GIB = 2**30


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A split, ready to be trained or judged on.

    Attributes:
      index: its images.
      embeddings: rows are pooled embeddings, float32 [n, features].
      activations: rows are what the unfrozen part is fed; None where all is frozen.
    """

    index: Index
    embeddings: Split
    activations: Split | None


class Preparation:
    """Runs the frozen part over splits, with one cache for all of them."""

    def __init__(
        self,
        network: Network,
        preprocess: Preprocess,
        settings: TrainerSettings,
        *,
        task: Task,
        preprocess_digest: str,
        cache_root: Path,
        embedded: Embedded | None = None,
    ):
        """Open the cache.

        Args:
          network: what the images go through.
          preprocess: encoded images, string [N], to what the network takes.
          settings: of the Trainer.
          task: what is learnt.
          preprocess_digest: what tells this preprocessing from any other.
          cache_root: folder of all caches.
          embedded: what the Embedder has computed already.
        """
        self._network = network
        self._settings = settings
        self._task = task
        self._cache_root = cache_root
        self._precision = resolve_precision(settings.precision)
        self._part = frozen_part(network.frozen, preprocess, settings, preprocess_digest)
        self._embedded = embedded
        self._opened: list[ActivationCache] = []
        name = cache_name(self._part.key, settings)
        self._cache = self._open(name, embedded.shards(name) if embedded else ())

    def split(self, name: str, patterns: Sequence[str], *, views: bool = False) -> Prepared:
        """Have every image of a split gone through the frozen part.

        Args:
          name: of the split.
          patterns: gzipped TFRecords of Examples, as TFX names them.
          views: make the altered views that the settings ask for, too.

        Raises:
          TrainingError: if the split is empty.
        """
        index = self._read_index(name, patterns)
        if not index.sha256:
            raise TrainingError(
                f"the {name} split is empty: give it images of more patients, or a larger share "
                "(data.split.fractions)"
            )
        activations.compute(index, self._part, self._cache, f"{name} images through the backbone")
        caches = [self._cache]
        if views:
            caches += self._views(index)

        def rows(indices: np.ndarray, view: int) -> np.ndarray:
            names = [activations.view_name(index.sha256[i], view) for i in indices]
            return caches[min(view, 1)].rows(names)

        count = self._settings.augmentation.views if views else 0
        kept = Split(rows, index.labels, count)
        if self._network.suffix is None:
            everything = np.arange(len(kept))
            arrays = [rows(everything, view) for view in range(count + 1)]
            return Prepared(index, Split(in_memory(arrays), index.labels, count), None)
        arrays = [self._pooled(kept, view) for view in range(count + 1)]
        return Prepared(index, Split(in_memory(arrays), index.labels, count), kept)

    def evict(self, in_use: Iterable[Path]) -> None:
        """Keep the caches within the size that the settings allow, when every split is prepared.

        Args:
          in_use: files in the cache folder that must stay, beside what the splits are read from.
        """
        own = [file for cache in self._opened for file in cache.files]
        evict(self._cache_root, self._settings.cache.max_gib * _GIB, [*own, *in_use])

    def _read_index(self, name: str, patterns: Sequence[str]) -> Index:
        files = sorted(str(file) for pattern in patterns for file in fileio.glob(pattern))
        labels = self._task.feature, len(self._task.outputs)
        if self._embedded and (known := self._embedded.read_index(name, files, *labels)):
            return known
        return read_index(files, *labels)

    def _views(self, index: Index) -> list[ActivationCache]:
        augmentation = self._settings.augmentation
        if not augmentation.views:
            return []
        limits = augmentation.model_dump_json(exclude={"views"})
        key = digest(self._part.key, limits, str(self._settings.seed))
        cache = self._open(cache_name(key, self._settings))
        for view in range(1, augmentation.views + 1):
            activations.compute_view(
                index, self._part, cache, view, augmentation, self._settings.seed
            )
        return [cache]

    def _open(self, name: str, others: Iterable[Path] = ()) -> ActivationCache:
        dtype = kept_dtype(self._settings)
        cache = ActivationCache(self._cache_root, name, self._part.shape, dtype, others=others)
        self._opened.append(cache)
        return cache

    def _pooled(self, kept: Split, view: int) -> np.ndarray:
        """Activations through the unfrozen part as it is now, pooled: float32 [N, features]."""
        suffix = self._network.suffix
        assert suffix is not None
        pooled = keras.layers.GlobalAveragePooling2D()(suffix.output)
        run = freeze(keras.Model(suffix.input, pooled), self._precision)
        parts = []
        for start in range(0, len(kept), BATCH):
            indices = np.arange(start, min(start + BATCH, len(kept)))
            parts.append(run(tf.constant(kept.rows(indices, view))).numpy())
            progress.report(start + len(indices), len(kept), "images through the unfrozen part")
        return np.concatenate(parts)


def open_preparation(
    network: Network,
    settings: TrainerSettings,
    config: Mapping[str, Any],
    transform_graph: str,
    fallback: Path,
) -> Preparation:
    """As a node of the pipeline opens it.

    Args:
      network: what the images go through.
      settings: of the Trainer.
      config: the node's: `labels`; `preprocessing`, the digest of Transform's source; and
        `activations`, the local folder of what the Embedder left, if there was one.
      transform_graph: what Transform wrote.
      fallback: folder of the caches, for a user who has none.
    """
    folder = config.get("activations")
    return Preparation(
        network,
        read_preprocessing(transform_graph),
        settings,
        task=TASKS[config["labels"]],
        preprocess_digest=config["preprocessing"],
        cache_root=cache_root(settings, fallback),
        embedded=Embedded(Path(folder)) if folder else None,
    )


def cache_root(settings: TrainerSettings, fallback: Path) -> Path:
    """The user's cache folder; containers may run as somebody who has none."""
    if settings.cache.folder:
        return Path(settings.cache.folder)
    try:
        root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cxr"
        root.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError) as error:  # RuntimeError: no home
        progress.warn(f"no cache folder ({error}): activations are kept in {fallback} for this run")
        return fallback
    return root
