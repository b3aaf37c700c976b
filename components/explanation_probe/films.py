"""Films out of the records of splits: which show a finding, and which have boxes of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from components import storage
from components.example_gen import record
from components.explanation_probe.boxes import Box
from components.explanation_probe.localisation import BoxedFilm
from components.transform import preprocessing

_RECORDS_AT_ONCE = 256
_BATCH = 16


@dataclasses.dataclass(frozen=True)
class Film:
    """What is known of a film without looking at it.

    Attributes:
      sha256: of the film.
      patient: whose it is.
      dataset: that it is of.
      split: likewise.
      findings: that it shows, out of `record.FINDINGS`.
      boxes: each with the finding that it marks.
    """

    sha256: str
    patient: str
    dataset: str
    split: str
    findings: tuple[str, ...]
    boxes: tuple[tuple[str, Box], ...]

    def boxed(self, finding: str) -> BoxedFilm | None:
        """The film with the boxes of a finding that it shows; None where it has none."""
        boxes = tuple(box for name, box in self.boxes if name == finding)
        if not boxes or finding not in self.findings:
            return None
        return BoxedFilm(self.sha256, self.patient, self.dataset, self.split, boxes)


def list_films(files: Mapping[str, Sequence[str]]) -> list[Film]:
    """All films of some splits that show a finding, in an order that does not depend on shards.

    Args:
      files: gzip TFRecords of Examples, by split.
    """
    text = tf.io.FixedLenFeature([], tf.string)
    spec = {
        record.SHA256: text,
        record.PATIENT_ID: text,
        record.DATASET: text,
        "findings": tf.io.RaggedFeature(tf.string),
        record.BOXES: tf.io.RaggedFeature(tf.float32),
        record.BOX_FINDINGS: tf.io.RaggedFeature(tf.string),
    }
    found = []
    for split, paths in files.items():
        batches = storage.read_records(paths).batch(_RECORDS_AT_ONCE)
        for batch in batches.map(lambda one: tf.io.parse_example(one, spec)):
            columns = {
                name: value.to_list() if isinstance(value, tf.RaggedTensor) else value.numpy()
                for name, value in batch.items()
            }
            for row in zip(*columns.values(), strict=True):
                film = _film(dict(zip(columns, row, strict=True)), split)
                if film.findings != (record.NO_FINDING,):
                    found.append(film)
    return sorted(found, key=lambda film: film.sha256)


def read_images(
    files: Mapping[str, Sequence[str]], wanted: Collection[str], image_size: int
) -> Iterator[tuple[list[str], NDArray[np.float32]]]:
    """Stream chosen films, ready for the network.

    Args:
      files: gzip TFRecords of Examples, by split.
      wanted: sha256 of the films.
      image_size: side of the network's input, in pixels.

    Yields:
      Batches: sha256, and float32 [N, image_size, image_size, 3] on [0, 1].
    """
    if not wanted:
        return
    spec = {name: tf.io.FixedLenFeature([], tf.string) for name in (record.SHA256, record.IMAGE)}
    names = tf.constant(sorted(wanted))
    chosen = (
        storage.read_records([path for paths in files.values() for path in paths])
        .map(lambda serialized: tf.io.parse_single_example(serialized, spec))
        .filter(lambda film: tf.reduce_any(film[record.SHA256] == names))
        .batch(_BATCH)
        .map(
            lambda batch: (
                batch[record.SHA256],
                preprocessing.preprocess(batch[record.IMAGE], image_size),
            )
        )
        .prefetch(1)
    )
    for names_of_batch, images in chosen.as_numpy_iterator():
        yield [name.decode() for name in names_of_batch], images


def _film(row: Mapping[str, Any], split: str) -> Film:
    sides = row[record.BOXES]
    boxes = zip(sides[0::4], sides[1::4], sides[2::4], sides[3::4], strict=True)
    return Film(
        sha256=row[record.SHA256].decode(),
        patient=row[record.PATIENT_ID].decode(),
        dataset=row[record.DATASET].decode(),
        split=split,
        findings=tuple(name.decode() for name in row["findings"]),
        boxes=tuple(
            (name.decode(), box) for name, box in zip(row[record.BOX_FINDINGS], boxes, strict=True)
        ),
    )
