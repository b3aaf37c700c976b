"""The two passes over the images, as Beam transforms.

First `Survey` decodes every image and keeps only what it tells; after the split is known,
`WriteExamples` reads the bytes again. The images themselves thus never wait between two steps,
and memory does not grow with their size. What Beam hands about are compressed batches of what is
known of images, from a file: it keeps several copies of every element, spends more on a small one
than on its content, and would carry those of a `Create` within the code that it sends to workers.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import pickle
import threading
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
import tensorflow as tf

from components import progress, storage
from components.example_gen import example
from components.example_gen.datasets import files as dataset_files
from components.example_gen.datasets.listing import DatasetError, Fate, LeftOut
from components.example_gen.images import imaging
from components.example_gen.images.bad_image import BadImageError
from components.example_gen.images.perceptual_hash import perceptual_hash
from components.example_gen.record import ImageFacts, XrayFile
from components.example_gen.split import Surveyed

_REPORT_EVERY = 50
_BATCH = 16


def save(images: Iterable[Any], path: str) -> None:
    """Keep what is known of images for a `Load`."""
    remaining = iter(images)
    folder, _, name = path.rpartition("/")
    with storage.local_output(folder) as local, tf.io.TFRecordWriter(str(local / name)) as file:
        while batch := list(itertools.islice(remaining, _BATCH)):
            file.write(zlib.compress(pickle.dumps(batch)))


class Load(beam.PTransform):
    """What was saved, in batches that are spread over the workers."""

    def __init__(self, path: str):
        super().__init__()
        self._path = path

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection:
        """The transform."""
        return begin | "Read" >> beam.io.ReadFromTFRecord(self._path) | "Spread" >> beam.Reshuffle()


def _unpack(batch: bytes) -> list[Any]:
    return pickle.loads(zlib.decompress(batch))


class Survey(beam.PTransform):
    """Saved `XrayFile`s to lines of JSON, one for each file; see `parse_survey`."""

    def __init__(self, total: int):
        super().__init__()
        self._total = total

    def expand(self, files: beam.PCollection) -> beam.PCollection:
        """The transform."""
        return files | "Open" >> beam.ParDo(_Open(self._total))


class WriteExamples(beam.PTransform):
    """Saved `Surveyed` images to gzipped TFRecords of Examples below a folder."""

    def __init__(self, folder: str, total: int):
        super().__init__()
        self._folder = folder
        self._total = total

    def expand(self, images: beam.PCollection) -> beam.PCollection:
        """The transform."""
        return (
            images
            | "Encode" >> beam.ParDo(_Encode(self._total))
            # No fixed number of shards: Beam would gather all Examples in memory to make it so.
            | "Write"
            >> beam.io.WriteToTFRecord(f"{self._folder}/data_tfrecord", file_name_suffix=".gz")
        )


def parse_survey(line: str) -> Surveyed | LeftOut:
    """An output of `Survey`, read back."""
    fields = json.loads(line)
    if "reason" in fields:
        return LeftOut(fields["source"], fields["reason"], Fate(fields["fate"]))
    file = fields["file"]
    file["findings"] = tuple(file["findings"])
    file["finding_labels"] = tuple(file["finding_labels"])
    file["boxes"] = tuple(tuple(box) for box in file["boxes"])
    file["box_findings"] = tuple(file["box_findings"])
    look = bytes.fromhex(fields["look"])
    return Surveyed(XrayFile(**file), ImageFacts(**fields["facts"]), look)


class _Counter:
    """Progress across the threads of one worker process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._done: dict[str, int] = {}

    def add(self, what: str, total: int) -> None:
        with self._lock:
            done = self._done[what] = self._done.get(what, 0) % total + 1
        if done % _REPORT_EVERY == 0 or done == total:
            progress.report(done, total, what)


_COUNTER = _Counter()


class _Open(beam.DoFn):
    def __init__(self, total: int):
        self._total = total

    def process(self, files: bytes) -> Iterator[str]:
        for line in survey_lines(_unpack(files)):
            yield line
            _COUNTER.add("images checked", self._total)


def survey_lines(files: Iterable[XrayFile]) -> Iterator[str]:
    """What files tell, as lines of JSON; see `parse_survey`.

    Raises:
      DatasetError: if a store does not answer.
    """
    for file in files:
        yield json.dumps(_survey(file))


def _survey(file: XrayFile) -> dict:
    try:
        grey, facts = imaging.read_image(dataset_files.read_bytes(file.path))
    except BadImageError as error:
        return dataclasses.asdict(LeftOut(file.path, str(error)))
    except OSError as error:
        return dataclasses.asdict(dataset_files.not_read(file.path, error))
    return dataclasses.asdict(Surveyed(file, facts)) | {"look": perceptual_hash(grey).hex()}


def read_again(image: Surveyed) -> bytes:
    """The bytes of an image that was surveyed.

    Raises:
      DatasetError: if they are not the same any more.
    """
    path = image.file.path
    try:
        data = dataset_files.read_bytes(path)
    except OSError as error:
        dataset_files.not_read(path, error)
        raise DatasetError(f"{path} was there, and is not any more: run again") from error
    if hashlib.sha256(data).hexdigest() != image.facts.sha256:
        raise DatasetError(f"{path} was changed while it was read: run again")
    return data


class _Encode(beam.DoFn):
    def __init__(self, total: int):
        self._total = total

    def process(self, images: bytes) -> Iterator[bytes]:
        for image in _unpack(images):
            encoded = imaging.servable_bytes(read_again(image))
            yield example.to_example(image.file, image.facts, encoded).SerializeToString()
            _COUNTER.add("images written", self._total)
