"""Every image of some splits through the frozen part, as a Beam transform.

Films flow from the records to their rows in one stage: no image waits between two steps, and
memory does not grow with them but for the name of each, some 200 bytes.
"""

from __future__ import annotations

import io
import json
import uuid
from collections.abc import Iterator, Sequence

import apache_beam as beam
import numpy as np
import tensorflow as tf
from apache_beam.transforms.window import GlobalWindows
from apache_beam.utils.shared import Shared
from apache_beam.utils.windowed_value import WindowedValue
from tfx.dsl.io import fileio

from components.embedding.worker import Work, Worker
from components.example_gen import record
from components.trainer.activation_cache import FOLDER
from components.trainer.activation_rows import DATA, INDEX
from components.trainer.embedded import Shard
from components.trainer.index import BATCH
from components.trainer.tasks import TASKS

# A worker that fails loses at most so many images; and the reader has every shard open.
_SHARD_ROWS = 1024
# Activation maps are large.
_SHARD_BYTES = 32 * 2**20


class Embed(beam.PTransform):
    """Names of Examples' files to a line of JSON for each `Shard`.

    The shards are written; and the Examples again, without their images.
    """

    def __init__(self, work: Work, splits: Sequence[str], folder: str):
        """Prepare.

        Args:
          work: what is computed.
          splits: whose files they are, in folders named after them, as TFX has it.
          folder: of the artifact, see `components.trainer.embedded`.
        """
        super().__init__()
        self._work = work
        self._splits = splits
        self._folder = folder

    def expand(self, files: beam.PCollection) -> beam.PCollection:
        """The transform."""
        examples = files | "Read" >> beam.io.ReadAllFromTFRecord(with_filename=True)
        stripped = examples | "Strip" >> beam.ParDo(_Strip()).with_outputs(*self._splits)
        for split in self._splits:
            path = f"{self._folder}/Split-{split}/data_tfrecord"
            _ = stripped[split] | f"Write {split}" >> beam.io.WriteToTFRecord(
                path, file_name_suffix=".gz"
            )
        return examples | "Embed" >> beam.ParDo(_Embed(self._work, self._folder))


# What `Embedded.read_index` reads.
_KEPT = {
    record.SHA256,
    record.PATIENT_ID,
    record.DATASET,
    *(task.feature for task in TASKS.values()),
}


class _Strip(beam.DoFn):
    """What is learnt of each Example and whose it is, by split."""

    def process(self, element: tuple[str, bytes]) -> Iterator[beam.pvalue.TaggedOutput]:
        file, serialized = element
        example = tf.train.Example.FromString(serialized)
        features = example.features.feature
        for name in set(features) - _KEPT:
            del features[name]
        split = file.rsplit("/", 2)[-2].removeprefix("Split-")
        yield beam.pvalue.TaggedOutput(split, example.SerializeToString())


class _Embed(beam.DoFn):
    def __init__(self, work: Work, folder: str):
        self._work = work
        self._folder = folder
        # One for all threads of a worker process.
        self._shared = Shared()

    def setup(self) -> None:
        self._worker = self._shared.acquire(lambda: Worker(self._work))

    def start_bundle(self) -> None:
        self._seen: set[str] = set()
        self._images: dict[str, bytes] = {}
        self._names: list[str] = []
        self._rows: list[np.ndarray] = []

    def process(self, element: tuple[str, bytes]) -> Iterator[str]:
        file, serialized = element
        features = tf.train.Example.FromString(serialized).features.feature
        (key,) = features[record.SHA256].bytes_list.value
        sha256 = key.decode()
        if sha256 in self._seen or not self._worker.claim(sha256, file):
            return
        self._seen.add(sha256)
        (self._images[sha256],) = features[record.IMAGE].bytes_list.value
        if len(self._images) == BATCH:
            self._run()
        most = max(BATCH, min(_SHARD_ROWS, _SHARD_BYTES // self._worker.format.row_bytes))
        if len(self._names) >= most:
            yield self._save()

    def finish_bundle(self) -> Iterator[WindowedValue]:
        if self._images:
            self._run()
        if self._names:
            yield GlobalWindows.windowed_value(self._save())

    def _run(self) -> None:
        names, images = list(self._images), list(self._images.values())
        self._rows.append(self._worker.run(names, images))
        self._names += names
        self._images = {}

    def _save(self) -> str:
        rows = io.BytesIO()
        np.save(rows, np.concatenate(self._rows))
        contents = {DATA: rows.getvalue(), INDEX: json.dumps(self._names).encode()}
        part, name = self._worker.part, uuid.uuid4().hex
        folder = f"{self._folder}/{FOLDER}/{part}"
        fileio.makedirs(folder)
        for suffix, content in contents.items():
            with fileio.open(f"{folder}/{name}{suffix}", "wb") as file:
                file.write(content)
        sizes = {suffix: len(content) for suffix, content in contents.items()}
        shard = Shard(part=part, name=name, rows=len(self._names), sizes=sizes)
        self._names, self._rows = [], []
        return shard.model_dump_json()
