"""Films out of the records of a split, as a stream."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import tensorflow as tf

from components.example_gen import record
from components.transform import preprocessing

IMAGE = "image"
DETAILS = "details"

# What a report can say of a film beside its label; a dataset has some of these, or none.
_DETAILS = {
    "findings": tf.string,
    record.ETIOLOGY: tf.string,
    "age_years": tf.int64,
    "sex": tf.string,
    "view_position": tf.string,
    "follow_up": tf.int64,
}


@dataclasses.dataclass(frozen=True)
class Film:
    """A film as it lies in its record.

    Attributes:
      encoded: an 8-bit grey or RGB JPEG or PNG.
      boxes: x, y, width, height of each known finding, as fractions of the film.
    """

    encoded: bytes
    boxes: tuple[tuple[float, float, float, float], ...]


def count(files: Sequence[str]) -> int:
    """How many records there are."""
    return int(_records(files).reduce(0, lambda n, _: n + 1))


def read_batches(
    files: Sequence[str], *, image_size: int, batch_size: int, finding: str = ""
) -> Iterator[dict[str, Any]]:
    """Stream all films of a split, ready for the network.

    Args:
      files: gzip TFRecords of Examples.
      image_size: side of the network's input, in pixels.
      batch_size: the last batch may be smaller.
      finding: whose label is meant, out of `record.PATHOLOGIES`; without it, the binary one.

    Yields:
      Batches: `image`, float32 [N, image_size, image_size, 3]; and as lists of N what
      `record.SHA256`, `record.FILENAME`, `record.DATASET` (str) and `record.LABEL` (int) name,
      and `DETAILS`, each film's metadata by name (str to str).
    """
    required = {
        name: tf.io.FixedLenFeature([], tf.string)
        for name in (record.IMAGE, record.SHA256, record.FILENAME, record.DATASET)
    }
    features = required | _label_feature(finding)
    features |= {name: tf.io.RaggedFeature(dtype) for name, dtype in _DETAILS.items()}

    def parse(serialized: tf.Tensor) -> dict[str, Any]:
        batch = tf.io.parse_example(serialized, features)
        batch[IMAGE] = preprocessing.preprocess(batch.pop(record.IMAGE), image_size)
        return batch

    # Two batches in the making: decoded originals are large.
    for batch in _records(files).batch(batch_size).map(parse, num_parallel_calls=2).prefetch(1):
        yield {
            IMAGE: batch[IMAGE],
            record.SHA256: _texts(batch[record.SHA256].numpy()),
            record.FILENAME: _texts(batch[record.FILENAME].numpy()),
            record.DATASET: _texts(batch[record.DATASET].numpy()),
            record.LABEL: _labels(batch, finding),
            DETAILS: _details(batch),
        }


def read_chosen(files: Sequence[str], digests: Collection[str]) -> dict[str, Film]:
    """Read the films of chosen cases.

    Args:
      files: gzip TFRecords of Examples.
      digests: the cases' `sha256`.

    Returns:
      The films by digest.
    """
    features = {
        record.IMAGE: tf.io.FixedLenFeature([], tf.string),
        record.SHA256: tf.io.FixedLenFeature([], tf.string),
        record.BOXES: tf.io.RaggedFeature(tf.float32),
    }
    wanted = tf.constant(sorted(digests))
    films = (
        _records(files)
        .map(lambda serialized: tf.io.parse_single_example(serialized, features))
        .filter(lambda film: tf.reduce_any(film[record.SHA256] == wanted))
    )
    return {
        film[record.SHA256].decode(): Film(film[record.IMAGE], _boxes(film[record.BOXES].tolist()))
        for film in films.as_numpy_iterator()
    }


def _label_feature(finding: str) -> dict[str, tf.io.FixedLenFeature]:
    if finding:
        return {record.FINDING_LABELS: tf.io.FixedLenFeature([len(record.PATHOLOGIES)], tf.int64)}
    return {record.LABEL: tf.io.FixedLenFeature([], tf.int64)}


def _labels(batch: Mapping[str, Any], finding: str) -> list[int]:
    if finding:
        labels = batch[record.FINDING_LABELS][:, record.PATHOLOGIES.index(finding)]
    else:
        labels = batch[record.LABEL]
    return labels.numpy().tolist()


def _records(files: Sequence[str]) -> tf.data.Dataset:
    return tf.data.TFRecordDataset(list(files), compression_type="GZIP")


def _boxes(sides: Sequence[float]) -> tuple[tuple[float, float, float, float], ...]:
    # The feature is flat, four numbers per box.
    return tuple(zip(sides[0::4], sides[1::4], sides[2::4], sides[3::4], strict=True))


def _details(batch: Mapping[str, Any]) -> list[dict[str, str]]:
    columns = {name: batch[name].to_list() for name in _DETAILS}
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return [
        {name: ", ".join(_text(x) for x in values) for name, values in row.items() if values}
        for row in rows
    ]


def _texts(values: Any) -> list[str]:
    return [_text(value) for value in values]


def _text(value: Any) -> str:
    # A file name on disk need not be valid UTF-8.
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
