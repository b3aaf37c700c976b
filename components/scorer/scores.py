"""The scores of a split, as arrays: what everything after the Scorer reads instead of images."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tfx.dsl.io import fileio

from components import storage
from components.example_gen import record
from components.scorer import features

# Beside the splits: the names of the outputs, and whether a last blessed model was asked, too.
INDEX_FILE = "scores.json"

_BATCH = 1024
_TEXTS = (record.SHA256, record.FILENAME, record.PATIENT_ID, *features.SLICEABLE)

Texts = NDArray[np.str_]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scores:
    """What is known of N images, and what the model says of its K outputs.

    Attributes:
      outputs: names of the model's outputs: `pneumonia`, or the findings.
      sha256: of the images, [N].
      filenames: [N].
      patients: whose they are, [N].
      datasets: which they are of, [N].
      labels: int64 [N, K], 0 or 1.
      probabilities: calibrated, as served, float64 [N, K].
      decisions: at the stored operating point, int64 [N, K].
      last_probabilities: of the last blessed model, float64 [N, K]; None where there is none.
      features: what divides the images into slices, by name, [N]; empty where absent.
    """

    outputs: tuple[str, ...]
    sha256: Texts
    filenames: Texts
    patients: Texts
    datasets: Texts
    labels: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    decisions: NDArray[np.int64]
    last_probabilities: NDArray[np.float64] | None
    features: Mapping[str, Texts]

    def __len__(self) -> int:
        """The number of images."""
        return len(self.sha256)

    def where(self, mask: NDArray[np.bool_]) -> Scores:
        """Some of the images: bool [N]."""
        last = self.last_probabilities
        return dataclasses.replace(
            self,
            sha256=self.sha256[mask],
            filenames=self.filenames[mask],
            patients=self.patients[mask],
            datasets=self.datasets[mask],
            labels=self.labels[mask],
            probabilities=self.probabilities[mask],
            decisions=self.decisions[mask],
            last_probabilities=None if last is None else last[mask],
            features={name: values[mask] for name, values in self.features.items()},
        )


def read_scores(uri: str, split: str) -> Scores:
    """Read what the Scorer wrote of a split.

    Args:
      uri: of the Scorer's `scores`.
      split: its name.

    Raises:
      FileNotFoundError: if there are no scores of that split.
    """
    with fileio.open(f"{uri}/{INDEX_FILE}", "r") as file:
        index = json.load(file)
    files = sorted(str(path) for path in fileio.glob(f"{uri}/Split-{split}/*.gz"))
    if not files:
        raise FileNotFoundError(f"no scores of the split {split!r} in {uri}")
    outputs = tuple(index["outputs"])
    label = record.FINDING_LABELS if len(outputs) > 1 else record.LABEL
    columns = _read(files, label, len(outputs), last_model=index["last_model"])
    texts = {name: _decoded(columns[name]) for name in _TEXTS}
    last = columns.get(features.LAST_PROBABILITY)
    return Scores(
        outputs=outputs,
        sha256=texts[record.SHA256],
        filenames=texts[record.FILENAME],
        patients=texts[record.PATIENT_ID],
        datasets=texts[record.DATASET],
        labels=columns[label],
        probabilities=columns[features.PROBABILITY].astype(np.float64),
        decisions=columns[features.DECISION],
        last_probabilities=None if last is None else last.astype(np.float64),
        features={name: texts[name] for name in features.SLICEABLE},
    )


def _read(
    files: Sequence[str], label: str, outputs: int, *, last_model: bool
) -> dict[str, NDArray[Any]]:
    # What an Example lacks is read as empty.
    spec = {name: tf.io.FixedLenFeature([], tf.string, "") for name in _TEXTS}
    for name in (label, features.DECISION):
        spec[name] = tf.io.FixedLenFeature([outputs], tf.int64)
    spec[features.PROBABILITY] = tf.io.FixedLenFeature([outputs], tf.float32)
    if last_model:
        spec[features.LAST_PROBABILITY] = tf.io.FixedLenFeature([outputs], tf.float32)
    records = storage.read_records(files).batch(_BATCH)
    parsed = records.map(lambda batch: tf.io.parse_example(batch, spec))
    batches = list(parsed.as_numpy_iterator())
    return {name: np.concatenate([batch[name] for batch in batches]) for name in spec}


def _decoded(values: NDArray[Any]) -> Texts:
    # A file name on disk need not be valid UTF-8.
    return np.array([value.decode(errors="replace") for value in values.tolist()], np.str_)
