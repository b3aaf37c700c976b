"""What the Examples of a split hold: which images, and what is known of each."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Collection, Iterator, Sequence

import numpy as np
import tensorflow as tf

from components.example_gen import record
from components.storage import read_records

# Images that are read, and run through the frozen part, at once.
BATCH = 32


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
      files: gzipped TFRecords of Examples, with their images or without.
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
    records = read_records(files).batch(256)
    # They are put in order afterwards.
    parsed = records.map(
        lambda batch: tf.io.parse_example(batch, spec),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=False,
    ).prefetch(2)
    rows = sorted(
        (key.decode(), patient.decode(), dataset.decode(), values.tolist())
        for batch in parsed.as_numpy_iterator()
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


def digest(*parts: str) -> str:
    """32 hexadecimal digits that tell these texts from others."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def read_images(files: Sequence[str], sha256: Collection[str]) -> Iterator[list[bytes]]:
    """Batches of the images of that content, encoded, each once.

    Args:
      files: gzipped TFRecords of Examples that hold them.
      sha256: of the images.
    """
    for _, images in image_batches(files, set(sha256)):
        yield images


def image_batches(
    files: Sequence[str], missing: set[str]
) -> Iterator[tuple[list[str], list[bytes]]]:
    """Batches of images, with their sha256.

    Args:
      files: gzipped TFRecords of Examples.
      missing: sha256 of the images that are wanted; each is taken off the set as it is found.
    """
    if not missing:
        return
    spec = {name: tf.io.FixedLenFeature([], tf.string) for name in (record.SHA256, record.IMAGE)}
    records = read_records(files)
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
