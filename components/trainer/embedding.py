"""The embedding pass: each image goes through the frozen backbone once.

The backbone does not change while a head is trained on it, so neither do its pooled activations.
Computed once and kept, they make ten epochs cost what one does.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import (  # the public name moved away in 2.x
    convert_variables_to_constants_v2,
)

from components import progress
from components.example_gen import record
from components.trainer.backbones import weights_digest
from components.trainer.embedding_cache import EmbeddingCache

BATCH = 32

FLOAT32 = "float32"
BFLOAT16 = "bfloat16"


def resolve_precision(precision: str) -> str:
    """`auto` as the precision that is fastest here.

    bfloat16 pays only where the processor multiplies in it, and costs elsewhere.
    """
    if precision != "auto":
        return precision
    return BFLOAT16 if _processor_has_bfloat16() else FLOAT32


def _processor_has_bfloat16() -> bool:
    if platform.system() != "Linux":
        return False
    flags = Path("/proc/cpuinfo").read_text()
    return "avx512_bf16" in flags or "amx_bf16" in flags


class Embedder:
    """Encoded images to pooled activations, with the backbone's variables frozen to constants.

    In bfloat16 the embeddings differ from the Keras model's by at most 1 % of the largest
    activation; in float32 by rounding (relative 1e-4).
    """

    def __init__(
        self,
        backbone: keras.Model,
        preprocess: Callable[[tf.Tensor], tf.Tensor],
        *,
        preprocess_digest: str,
        precision: str,
    ):
        """Freeze the backbone.

        Args:
          backbone: images to maps, see `backbones.build_backbone`.
          preprocess: encoded images, string [N], to what the backbone takes.
          preprocess_digest: what tells this preprocessing from any other.
          precision: `float32` or `bfloat16`.
        """
        self.features = int(backbone.output_shape[-1])
        self.key = _digest(
            preprocess_digest, precision, str(backbone.input_shape), weights_digest(backbone)
        )
        network = backbone if precision == FLOAT32 else _in_bfloat16(backbone)

        def pooled(images: tf.Tensor) -> tf.Tensor:
            return tf.reduce_mean(tf.cast(network(images, training=False), tf.float32), [1, 2])

        concrete = tf.function(pooled).get_concrete_function(
            tf.TensorSpec([None, *backbone.input_shape[1:]], tf.float32)
        )
        frozen = convert_variables_to_constants_v2(concrete)
        self._embed = tf.function(
            lambda encoded: frozen(preprocess(encoded))[0],
            input_signature=[tf.TensorSpec([None], tf.string)],
        )

    def __call__(self, encoded: Sequence[bytes]) -> np.ndarray:
        """Embed a batch of encoded images: float32 [N, features]."""
        return self._embed(tf.constant(encoded, tf.string)).numpy()


def embed(
    files: Sequence[str], sha256: Sequence[str], embedder: Embedder, cache: EmbeddingCache
) -> np.ndarray:
    """The embedding of every image of a split, from the cache as far as it goes.

    Args:
      files: gzipped TFRecords of Examples.
      sha256: of the images wanted, in the order wanted.
      embedder: what computes the missing ones.
      cache: where they are found, and kept.

    Returns:
      float32 [len(sha256), features].
    """
    missing = set(sha256) - cache.keys()
    for keys, images in _batches(files, missing):
        cache.add(keys, embedder(images))
        progress.report(len(sha256) - len(missing), len(sha256), "images embedded")
    cache.save()
    return cache.get(sha256)


def _batches(files: Sequence[str], missing: set[str]) -> Iterator[tuple[list[str], list[bytes]]]:
    """Batches of images whose embedding is missing; takes each off the set as it goes."""
    if not missing:
        return
    spec = {name: tf.io.FixedLenFeature([], tf.string) for name in (record.SHA256, record.IMAGE)}
    records = tf.data.TFRecordDataset(files, compression_type="GZIP")
    parsed = records.batch(BATCH).map(lambda batch: tf.io.parse_example(batch, spec)).prefetch(2)
    keys: list[str] = []
    images: list[bytes] = []
    for batch in parsed.as_numpy_iterator():
        for key, image in zip(batch[record.SHA256], batch[record.IMAGE], strict=True):
            if key.decode() in missing:
                missing.remove(key.decode())
                keys.append(key.decode())
                images.append(image)
        if len(keys) >= BATCH or (keys and not missing):
            yield keys, images
            keys, images = [], []


def _in_bfloat16(backbone: keras.Model) -> keras.Model:
    """The same network, computing in bfloat16 with its float32 weights.

    The normalisation of the input stays in float32: rounding there costs most, and gains nothing.
    """

    def in_bfloat16(layer: keras.Layer) -> keras.Layer:
        return type(layer).from_config(layer.get_config() | {"dtype": "mixed_bfloat16"})

    def clone(layer: keras.Layer) -> keras.Layer:
        if isinstance(layer, keras.Model):
            return keras.models.clone_model(layer, clone_function=in_bfloat16)
        return type(layer).from_config(layer.get_config())

    twin = keras.models.clone_model(backbone, clone_function=clone)
    twin.set_weights(backbone.get_weights())
    return twin


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
