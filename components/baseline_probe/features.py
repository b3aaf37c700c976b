"""What the probes see of an image: next to nothing, and not the lungs.

Each image is decoded once, and nothing larger than a thumbnail is kept: about 1.5 kB an image.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from components import progress, storage
from components.errors import InputError
from components.example_gen import record
from components.transform import preprocessing

THUMBNAIL = "thumbnail"
BORDER = "border"
METADATA = "metadata"

THUMBNAIL_SIDE = 16
# The outer ring of such a grid is the outermost tenth of the image on each side.
BORDER_GRID = 10

_TEXTS = (record.IMAGE, record.SHA256, record.DATASET)
_SIZES = ("image/height", "image/width", "image/file_bytes")
_GREY_STATISTICS = (
    "image/sharpness",
    "image/mean",
    "image/std",
    "image/p01",
    "image/p99",
    "image/black_border",
)
# They range over powers of ten. With the logarithms of both sides and of the bytes, the aspect
# ratio and the bytes a pixel are among what a linear model sees.
_LOGARITHMIC = (*_SIZES, "image/sharpness")
# A film without any edge has a sharpness of 0.
_LEAST = 1e-6

SEES = {
    THUMBNAIL: f"the image at {THUMBNAIL_SIDE}x{THUMBNAIL_SIDE} pixels",
    BORDER: f"the outermost tenth of the image on each side, as {4 * (BORDER_GRID - 1)} means",
    METADATA: "the file's height, width and bytes, and grey statistics of the whole image",
}

_BATCH = 64


@dataclasses.dataclass(frozen=True)
class Measured:
    """A split as the probes see it: N images by sha256, K findings.

    Attributes:
      sha256: str [N].
      datasets: str [N].
      labels: int64 [N, K], 0 or 1.
      seen: by probe what it sees, float32 [N, features].
    """

    sha256: NDArray[np.str_]
    datasets: NDArray[np.str_]
    labels: NDArray[np.int64]
    seen: Mapping[str, NDArray[np.float32]]


def measure(files: Sequence[str], label: str, outputs: int, image_size: int, what: str) -> Measured:
    """Reduce every image of a split to what the probes see.

    Args:
      files: gzipped TFRecords of Examples.
      label: the feature that holds the labels.
      outputs: how many values it has.
      image_size: side of what the network sees, in pixels.
      what: name of the split, for who watches.

    Raises:
      InputError: if there is no image.
    """
    records = storage.read_records(files)
    total = int(records.reduce(0, lambda n, _: n + 1))
    if not total:
        raise InputError(
            f"{what} has no images, and the trivial models cannot be had without: give more "
            "images, or another split (data.split)"
        )
    spec = {
        **dict.fromkeys(_TEXTS, tf.io.FixedLenFeature([], tf.string)),
        **dict.fromkeys(_SIZES, tf.io.FixedLenFeature([], tf.int64)),
        **dict.fromkeys(_GREY_STATISTICS, tf.io.FixedLenFeature([], tf.float32)),
        label: tf.io.FixedLenFeature([outputs], tf.int64),
    }

    def reduce(serialized: tf.Tensor) -> dict[str, tf.Tensor]:
        one = tf.io.parse_single_example(serialized, spec)
        image = preprocessing.preprocess_one(one[record.IMAGE], image_size)
        return {
            record.SHA256: one[record.SHA256],
            record.DATASET: one[record.DATASET],
            label: one[label],
            THUMBNAIL: thumbnail(image),
            BORDER: border(image),
            METADATA: metadata(one),
        }

    # One image at a time on each core: decoded originals are large.
    batches = records.map(reduce, num_parallel_calls=tf.data.AUTOTUNE).batch(_BATCH).prefetch(1)
    kept: list[dict[str, np.ndarray]] = []
    for number, batch in enumerate(batches.as_numpy_iterator(), start=1):
        kept.append(batch)
        progress.report(min(number * _BATCH, total), total, f"{what} images reduced")
    columns = {name: np.concatenate([batch[name] for batch in kept]) for name in kept[0]}
    # How Beam spread the images over files is no matter.
    order = np.argsort(columns[record.SHA256], kind="stable")
    return Measured(
        sha256=columns[record.SHA256][order].astype(np.str_),
        datasets=columns[record.DATASET][order].astype(np.str_),
        labels=columns[label][order],
        seen={name: columns[name][order] for name in SEES},
    )


def thumbnail(image: tf.Tensor) -> tf.Tensor:
    """The image as means over a grid of 16 x 16 cells.

    Args:
      image: float32 [height, width, 1] on [0, 1].

    Returns:
      float32 [256] on [0, 1], row by row.
    """
    return tf.reshape(_grid(image, THUMBNAIL_SIDE), [-1])


def border(image: tf.Tensor) -> tf.Tensor:
    """Means along the rim, where there are no lungs: the outer ring of a grid of 10 x 10 cells.

    Args:
      image: float32 [height, width, 1] on [0, 1].

    Returns:
      float32 [36] on [0, 1].
    """
    ring = np.ones((BORDER_GRID, BORDER_GRID), bool)
    ring[1:-1, 1:-1] = False
    return tf.boolean_mask(_grid(image, BORDER_GRID), ring)


def metadata(features: Mapping[str, tf.Tensor]) -> tf.Tensor:
    """What is known of an image file without looking at it, sizes as logarithms.

    Args:
      features: the Example's `image/*`, scalars.

    Returns:
      float32 [9].
    """
    values = []
    for name in _SIZES + _GREY_STATISTICS:
        value = tf.cast(features[name], tf.float32)
        values.append(tf.math.log(value + _LEAST) if name in _LOGARITHMIC else value)
    return tf.stack(values)


def _grid(image: tf.Tensor, side: int) -> tf.Tensor:
    means = tf.image.resize(image, [side, side], tf.image.ResizeMethod.AREA)
    return tf.ensure_shape(means[..., 0], [side, side])
