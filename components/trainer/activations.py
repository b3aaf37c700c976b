"""The pass of the frozen part: each image goes through it once.

What does not change while the rest is trained need not be computed in every epoch: kept, it makes
ten epochs cost what one does.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import inspect
from collections.abc import Callable, Collection, Iterator, Sequence

import keras
import numpy as np
import tensorflow as tf

from components import progress
from components.errors import InputError
from components.example_gen import record
from components.trainer import augmentation, frozen
from components.trainer.activation_cache import ActivationCache
from components.trainer.backbones import weights_digest
from components.trainer.settings import Augmentation

BATCH = 32

Preprocess = Callable[[tf.Tensor], tf.Tensor]


class FrozenPart:
    """Encoded images to what the frozen part of the network makes of them.

    In float32 that is the Keras model's output but for rounding (1e-5 of the largest activation
    at most), and so are the exported model's answers. In bfloat16 it differs by up to 1 %, and
    standardisation magnifies that. Measured with random DenseNet121s on 600 films: 0.4 % of the
    largest activation; logits 0.04 to 0.16 (at most 0.4) off where their standard deviation is 6;
    up to 1 % of the decisions; AUC as before within 0.001.
    """

    def __init__(
        self,
        network: keras.Model,
        preprocess: Preprocess,
        *,
        preprocess_digest: str,
        precision: str,
    ):
        """Name it; the network is frozen at the first call.

        Args:
          network: images, float32 [N, s, s, 3] on [0, 1], to activations, [N, ...].
          preprocess: encoded images, string [N], to what the network takes.
          preprocess_digest: what tells this preprocessing from any other.
          precision: `float32` or `bfloat16`.
        """
        self.shape: tuple[int, ...] = network.output_shape[1:]
        self.image_size: int = network.input_shape[1]
        self.key = digest(
            preprocess_digest, precision, _structure(network), weights_digest(network), _code()
        )
        self._network = network
        self._preprocess = preprocess
        self._precision = precision

    def __call__(
        self, encoded: Sequence[bytes], altered: tuple[np.ndarray, np.ndarray] | None = None
    ) -> np.ndarray:
        """Run a batch, as it is or altered (see `augmentation.alterations`): float32 [N, ...].

        Every batch is filled up to the same size: how many others are beside an image may change
        the last bit of what it gives, and a pass that was killed is taken up with other batches.
        """
        count, missing = len(encoded), max(BATCH - len(encoded), 0)
        images = tf.constant([*encoded, *[encoded[-1]] * missing], tf.string)
        if altered is None:
            return self._run(images).numpy()[:count]
        filled = [np.concatenate([one, one[-1:].repeat(missing, axis=0)]) for one in altered]
        return self._run_altered(images, *filled).numpy()[:count]

    @functools.cached_property
    def _frozen(self) -> Preprocess:
        """The frozen graph, made when first needed: with a warm cache, never."""
        return frozen.freeze(self._network, self._precision)

    @functools.cached_property
    def _run(self) -> tf.types.experimental.PolymorphicFunction:
        network = self._frozen
        return tf.function(
            lambda encoded: network(self._preprocess(encoded)),
            input_signature=[tf.TensorSpec([None], tf.string)],
        )

    @functools.cached_property
    def _run_altered(self) -> tf.types.experimental.PolymorphicFunction:
        network = self._frozen

        def run(encoded: tf.Tensor, transforms: tf.Tensor, contrasts: tf.Tensor) -> tf.Tensor:
            images = self._preprocess(encoded)
            return network(augmentation.alter(images, transforms, contrasts))

        return tf.function(
            run,
            input_signature=[
                tf.TensorSpec([None], tf.string),
                tf.TensorSpec([None, 8], tf.float32),
                tf.TensorSpec([None], tf.float32),
            ],
        )


@dataclasses.dataclass(frozen=True)
class Index:
    """The images of a split, in an order that does not depend on the shards.

    Attributes:
      files: gzipped TFRecords of Examples that hold them.
      sha256: of each image.
      labels: float32 [N, K], 0 or 1.
      patients: of each image.
      datasets: of each image.
    """

    files: Sequence[str]
    sha256: Sequence[str]
    labels: np.ndarray
    patients: Sequence[str]
    datasets: Sequence[str]

    @property
    def digest(self) -> str:
        """What tells these images, and what is known of them, from others."""
        return digest(*self.sha256, self.labels.astype(np.uint8).tobytes().hex())


def read_index(files: Sequence[str], label: str = record.LABEL, outputs: int = 1) -> Index:
    """What a split holds.

    Args:
      files: gzipped TFRecords of Examples.
      label: the feature to learn.
      outputs: how many values it has.
    """
    text = tf.io.FixedLenFeature([], tf.string)
    spec = {
        record.SHA256: text,
        record.PATIENT_ID: text,
        record.DATASET: text,
        label: tf.io.FixedLenFeature([outputs], tf.int64),
    }
    records = tf.data.TFRecordDataset(files, compression_type="GZIP").batch(256)
    rows = sorted(
        (key.decode(), patient.decode(), dataset.decode(), values.tolist())
        for batch in records.map(lambda b: tf.io.parse_example(b, spec)).as_numpy_iterator()
        for key, patient, dataset, values in zip(
            batch[record.SHA256],
            batch[record.PATIENT_ID],
            batch[record.DATASET],
            batch[label],
            strict=True,
        )
    )
    keys, patients, datasets, labels = zip(*rows, strict=True) if rows else ((), (), (), ())
    return Index(files, keys, np.array(labels, np.float32).reshape(-1, outputs), patients, datasets)


def compute(index: Index, part: FrozenPart, cache: ActivationCache, what: str) -> None:
    """Have the cache hold every image of a split.

    Args:
      index: the images.
      part: what computes the missing ones.
      cache: where they are found, and kept, by sha256.
      what: in words, for who watches.

    Raises:
      InputError: if the files lack some of the images, or an image gives no numbers.
    """
    names = {sha256: view_name(sha256, 0) for sha256 in index.sha256}
    _pass(index, cache, names, what, lambda images, _: part(images))


def compute_view(
    index: Index,
    part: FrozenPart,
    cache: ActivationCache,
    view: int,
    settings: Augmentation,
    seed: int,
) -> None:
    """Have the cache hold an altered view of every image, by `view_name`; as `compute`."""

    def altered(images: Sequence[bytes], sha256: Sequence[str]) -> np.ndarray:
        changes = augmentation.alterations(
            sha256, view, settings, seed=seed, image_size=part.image_size
        )
        return part(images, changes)

    names = {sha256: view_name(sha256, view) for sha256 in index.sha256}
    _pass(index, cache, names, f"images, view {view} of {settings.views}", altered)


def view_name(sha256: str, view: int) -> str:
    """An image's name in a cache of views; 0 is the image itself."""
    return f"{sha256}-{view}" if view else sha256


def digest(*parts: str) -> str:
    """32 hexadecimal digits that tell these texts from others."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def read_images(files: Sequence[str], sha256: Collection[str]) -> Iterator[list[bytes]]:
    """Batches of the images of that content, encoded, each once.

    Args:
      files: gzipped TFRecords of Examples that hold them.
      sha256: of the images.
    """
    for _, images in batches(files, set(sha256)):
        yield images


def _pass(
    index: Index,
    cache: ActivationCache,
    names: dict[str, str],
    what: str,
    run: Callable[[Sequence[bytes], Sequence[str]], np.ndarray],
) -> None:
    missing = {sha256 for sha256, name in names.items() if name not in cache}
    for keys, images in batches(index.files, missing):
        cache.add([names[key] for key in keys], run(images, keys))
        progress.report(len(names) - len(missing), len(names), what)
    cache.save()
    if missing:
        raise InputError(
            f"{len(missing)} of {len(names)} images are not in the {len(index.files)} files given, "
            f"such as the one with sha256 {min(missing)}"
        )


def batches(files: Sequence[str], missing: set[str]) -> Iterator[tuple[list[str], list[bytes]]]:
    """Batches of images, with their sha256.

    Args:
      files: gzipped TFRecords of Examples.
      missing: sha256 of the images that are wanted; each is taken off the set as it is found.
    """
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
                if len(keys) == BATCH:
                    yield keys, images
                    keys, images = [], []
        if not missing:
            break
    if keys:
        yield keys, images


def _structure(network: keras.Model) -> str:
    """What the network does besides its weights: the settings of its layers, but for their names.

    Keras counts the names up with every layer that is made in a process.
    """
    leaves = [layer for layer in network._flatten_layers() if not isinstance(layer, keras.Model)]
    return str([(type(one).__name__, one.get_config() | {"name": ""}) for one in leaves])


@functools.cache
def _code() -> str:
    """What computes: these modules and TensorFlow decide the last bits of an activation."""
    sources = [inspect.getsource(module) for module in (frozen, augmentation)]
    return digest(tf.__version__, keras.__version__, *sources)
