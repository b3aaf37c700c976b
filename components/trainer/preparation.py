"""From Examples to what is trained on: the network, cut; and its frozen part's answers."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf
import tensorflow_transform as tft

from components import progress
from components.example_gen import record
from components.trainer import activations
from components.trainer.activation_cache import FLOAT32, ActivationCache, evict
from components.trainer.activations import FrozenPart, Index, Preprocess, digest
from components.trainer.backbones import build_backbone, cut_backbone
from components.trainer.batches import Split, in_memory
from components.trainer.classifier import copy_weights
from components.trainer.frozen import freeze, resolve_precision
from components.trainer.imbalance import TrainingError
from components.trainer.settings import TrainerSettings

_GIB = 2**30


@dataclasses.dataclass(frozen=True)
class Task:
    """What is learnt.

    Attributes:
      name: `binary` or `multilabel`.
      feature: the Example's, that holds the labels.
      outputs: the names of the findings, one for each logit.
      class_names: by label for a single finding; the findings themselves for several.
    """

    name: Literal["binary", "multilabel"]
    feature: str
    outputs: tuple[str, ...]
    class_names: tuple[str, ...]


TASKS: dict[record.Labels, Task] = {
    "pneumonia": Task("binary", record.LABEL, record.CLASS_NAMES[1:], record.CLASS_NAMES),
    "findings": Task("multilabel", record.FINDING_LABELS, record.PATHOLOGIES, record.PATHOLOGIES),
}


@dataclasses.dataclass(frozen=True)
class Network:
    """A backbone, cut where its frozen part ends.

    Attributes:
      backbone: images to maps.
      frozen: its frozen part, with the pooling where all of it is frozen.
      suffix: the unfrozen part: activations to maps; None where all is frozen.
    """

    backbone: keras.Model
    frozen: keras.Model
    suffix: keras.Model | None


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
    ):
        """Open the cache.

        Args:
          network: what the images go through.
          preprocess: encoded images, string [N], to what the network takes.
          settings: of the Trainer.
          task: what is learnt.
          preprocess_digest: what tells this preprocessing from any other.
          cache_root: folder of all caches.
        """
        self._network = network
        self._settings = settings
        self._task = task
        self._cache_root = cache_root
        self._precision = resolve_precision(settings.precision)
        self._part = FrozenPart(
            network.frozen,
            preprocess,
            preprocess_digest=preprocess_digest,
            # Where all of it learns the frozen part picks a channel, and has nothing to round.
            precision=self._precision if network.frozen.weights else FLOAT32,
        )
        self._opened: list[ActivationCache] = []
        self._cache = self._open(self._part.key)

    def split(self, name: str, patterns: Sequence[str], *, views: bool = False) -> Prepared:
        """Have every image of a split gone through the frozen part.

        Args:
          name: of the split.
          patterns: gzipped TFRecords of Examples, as TFX names them.
          views: make the altered views that the settings ask for, too.

        Raises:
          TrainingError: if the split is empty.
        """
        index = activations.read_index(
            tf.io.gfile.glob(list(patterns)), self._task.feature, len(self._task.outputs)
        )
        if not index.sha256:
            raise TrainingError(f"the {name} split is empty")
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

    def _views(self, index: Index) -> list[ActivationCache]:
        augmentation = self._settings.augmentation
        if not augmentation.views:
            return []
        limits = augmentation.model_dump_json(exclude={"views"})
        cache = self._open(digest(self._part.key, limits, str(self._settings.seed)))
        for view in range(1, augmentation.views + 1):
            activations.compute_view(
                index, self._part, cache, view, augmentation, self._settings.seed
            )
        return [cache]

    def _open(self, key: str) -> ActivationCache:
        # Embeddings are small, and standardisation magnifies what rounding does to them.
        dtype = FLOAT32 if self._network.suffix is None else self._settings.cache.dtype
        cache = ActivationCache(self._cache_root, f"{key}-{dtype}", self._part.shape, dtype)
        self._opened.append(cache)
        return cache

    def _pooled(self, kept: Split, view: int) -> np.ndarray:
        """Activations through the unfrozen part as it is now, pooled: float32 [N, features]."""
        suffix = self._network.suffix
        assert suffix is not None
        pooled = keras.layers.GlobalAveragePooling2D()(suffix.output)
        run = freeze(keras.Model(suffix.input, pooled), self._precision)
        parts = []
        for start in range(0, len(kept), activations.BATCH):
            indices = np.arange(start, min(start + activations.BATCH, len(kept)))
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
      config: the node's: `labels`, and `preprocessing`, the digest of Transform's source.
      transform_graph: what Transform wrote.
      fallback: folder of the caches, for a user who has none.
    """
    layer = tft.TFTransformOutput(transform_graph).transform_features_layer()
    return Preparation(
        network,
        lambda encoded: layer({record.IMAGE: encoded[:, tf.newaxis]})["image"],
        settings,
        task=TASKS[config["labels"]],
        preprocess_digest=config["preprocessing"],
        cache_root=cache_root(settings, fallback),
    )


def build_network(
    settings: TrainerSettings, image_size: int, start: keras.Model | None = None
) -> Network:
    """The backbone, and where it is cut.

    Args:
      settings: of the Trainer.
      image_size: side of the square input, in pixels.
      start: a backbone whose weights to begin with.

    Raises:
      WeightsError: if the weights cannot be had.
      InputError: if there are not so many blocks to unfreeze.
    """
    backbone = build_backbone(
        settings.backbone,
        image_size=image_size,
        weights=settings.weights,
        seed=settings.seed,
        input_range=settings.input_range,
    )
    if start is not None:
        copy_weights(start, backbone)
    cut = cut_backbone(backbone, settings.backbone, settings.trainable)
    image = keras.Input(backbone.input_shape[1:], name="image")
    if cut.suffix is None:
        pooled = keras.layers.GlobalAveragePooling2D(name="pool")(backbone(image))
        return Network(backbone, keras.Model(image, pooled), None)
    if cut.prefix is not None:
        return Network(backbone, cut.prefix, cut.suffix)
    # All of it learns: what is kept are the images, of whose equal channels one will do.
    grey = keras.Input((image_size, image_size, 1), name="grey")
    suffix = keras.Model(grey, backbone(keras.layers.Concatenate(name="channels")([grey] * 3)))
    return Network(backbone, keras.Model(image, image[..., :1]), suffix)


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
