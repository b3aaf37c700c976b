"""Films: as they lie in their records, and as they were explained."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import tensorflow as tf

from components.example_gen import record

# What a report can say of a film beside its label; a dataset has some of these, or none.
DETAILS = (
    "findings",
    record.ETIOLOGY,
    "age_years",
    "sex",
    "view_position",
    "follow_up",
    "source_split",
)

Box = tuple[float, float, float, float]

_PNEUMONIA = "Pneumonia"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Film:
    """A film as it lies in its record.

    Attributes:
      sha256: hexadecimal digest of the original file.
      filename: as found on disk.
      dataset: the registered name.
      encoded: an 8-bit grey or RGB JPEG or PNG.
      labels: 0 or 1 for each of the model's outputs, where the record has as many; else the
        binary label.
      details: what else is known, name to values.
      boxes: x, y, width, height of each place that shows the finding, as fractions of the film.
    """

    sha256: str
    filename: str
    dataset: str
    encoded: bytes
    labels: tuple[int, ...]
    details: Mapping[str, tuple[str, ...]]
    boxes: tuple[Box, ...]


@dataclasses.dataclass(frozen=True)
class ExplainedFilm:
    """What a worker found of a chosen film, beside the pictures that it wrote.

    Attributes:
      number: of the case.
      size: width and height of the film's picture.
      heatmap: rows of cells, in logits.
      peak: value of the hottest cell, in logits.
      place: where that cell is, see `pictures.hottest_place`.
      boxes: x, y, width, height of known findings, as fractions of the film.
      details: what else is known, name to values.
    """

    number: int
    size: tuple[int, int]
    heatmap: Sequence[Sequence[float]]
    peak: float
    place: str
    boxes: Sequence[Box]
    details: Mapping[str, Sequence[str]]


def parse_line(line: str) -> ExplainedFilm:
    """An `ExplainedFilm` out of JSON."""
    return ExplainedFilm(**json.loads(line))


def parse_film(serialized: bytes, finding: str) -> Film:
    """Read the record of a film.

    Args:
      serialized: the Example.
      finding: whose boxes are meant, out of `record.PATHOLOGIES`; empty for pneumonia.
    """
    features = tf.train.Example.FromString(serialized).features.feature
    labels = features[record.FINDING_LABELS].int64_list.value
    details = {name: tuple(_texts(features[name])) for name in DETAILS}
    sides = list(features[record.BOXES].float_list.value)
    # The feature is flat, four numbers per box.
    boxes = zip(sides[0::4], sides[1::4], sides[2::4], sides[3::4], strict=True)
    marked = _texts(features[record.BOX_FINDINGS])
    return Film(
        sha256=_text(features[record.SHA256].bytes_list.value[0]),
        filename=_text(features[record.FILENAME].bytes_list.value[0]),
        dataset=_text(features[record.DATASET].bytes_list.value[0]),
        encoded=features[record.IMAGE].bytes_list.value[0],
        labels=tuple(labels or features[record.LABEL].int64_list.value),
        details={name: values for name, values in details.items() if values},
        boxes=tuple(
            box for name, box in zip(marked, boxes, strict=True) if name == (finding or _PNEUMONIA)
        ),
    )


def _texts(feature: tf.train.Feature) -> Iterator[str]:
    for values in (feature.bytes_list.value, feature.int64_list.value):
        yield from map(_text, values)


def _text(value: Any) -> str:
    # A file name on disk need not be valid UTF-8.
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
