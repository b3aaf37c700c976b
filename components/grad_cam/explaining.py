"""The chosen films through the model, as a Beam transform.

Films flow from the records to their pictures in one stage: no image waits between two steps, and
memory does not grow with their number.
"""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
from apache_beam.utils.shared import Shared
from numpy.typing import NDArray
from tfx.dsl.io import fileio

from components import progress
from components.grad_cam import pictures
from components.grad_cam.contract import ModelContract
from components.grad_cam.exported_model import ExplainingModel
from components.grad_cam.films import ExplainedFilm, Film, parse_film
from components.grad_cam.pictures import film_file, heat_file, overlay_file
from components.grad_cam.words import format_logits

# Every batch is as large, the last filled up: what a film's map is must not depend on how many
# films a worker happens to have, and rounding differs between sizes.
BATCH = 8

_REPORT_EVERY = 10

# Names a film of a split: its `sha256` and its file name, since a file may be there twice.
Key = tuple[str, str]


class Explain(beam.PTransform):
    """Serialized Examples to a line of JSON for each chosen film; writes its pictures."""

    def __init__(
        self,
        *,
        model: str,
        contract: ModelContract,
        finding: str,
        folder: str,
        chosen: Mapping[Key, int],
        boxes: bool = True,
    ):
        """Prepare.

        Args:
          model: folder of the SavedModel.
          contract: which of its outputs is explained.
          finding: whose boxes are shown; empty for pneumonia.
          folder: where the pictures go, see `ExplanationReport`.
          chosen: numbers of the cases.
          boxes: whether known findings may be shown.
        """
        super().__init__()
        self._chosen = dict(chosen)
        self._finding = finding
        self._explain = _Explain(model, contract, folder, self._chosen, boxes=boxes)

    def expand(self, examples: beam.PCollection) -> beam.PCollection:
        """The transform."""
        return (
            examples
            | "Keep" >> beam.ParDo(_Keep(self._chosen, self._finding))
            | "Batch" >> beam.BatchElements(min_batch_size=BATCH, max_batch_size=BATCH)
            | "Explain" >> beam.ParDo(self._explain)
        )


class _Keep(beam.DoFn):
    def __init__(self, chosen: Mapping[Key, int], finding: str):
        self._chosen = chosen
        self._finding = finding

    def process(self, serialized: bytes) -> Iterator[Film]:
        film = parse_film(serialized, self._finding)
        if (film.sha256, film.filename) in self._chosen:
            yield film


class _Explain(beam.DoFn):
    def __init__(
        self,
        model: str,
        contract: ModelContract,
        folder: str,
        chosen: Mapping[Key, int],
        *,
        boxes: bool,
    ):
        self._model_folder = model
        self._contract = contract
        self._folder = folder
        self._chosen = chosen
        self._boxes = boxes
        # One copy of the model for all threads of a worker.
        self._shared = Shared()

    def setup(self) -> None:
        self._model = self._shared.acquire(
            lambda: ExplainingModel(self._model_folder, self._contract)
        )

    def process(self, films: Sequence[Film]) -> Iterator[str]:
        images = [film.encoded for film in films]
        images += images[-1:] * (BATCH - len(films))
        for film, cam in zip(films, self._model(images), strict=False):
            yield json.dumps(self._write(film, cam))
            _COUNTER.add(len(self._chosen))

    def _write(self, film: Film, cam: NDArray[np.float32]) -> dict[str, Any]:
        """Write a film's pictures, and say what is on them."""
        contract = self._contract
        number = self._chosen[film.sha256, film.filename]
        heat = pictures.to_heat(cam, contract.reference)
        picture = pictures.read_film(film.encoded)
        boxes = film.boxes if self._boxes else ()
        hottest = f">= {format_logits(contract.reference)} logits per cell"
        contents = {
            film_file(number): pictures.film_jpeg(picture),
            heat_file(number): pictures.heat_png(heat, picture.shape),
            overlay_file(number): pictures.overlay_png(
                picture, heat, contract.opacity, boxes=boxes, ends=("0", hottest)
            ),
        }
        for name, content in contents.items():
            with fileio.open(f"{self._folder}/{name}", "wb") as file:
                file.write(content)
        return dataclasses.asdict(
            ExplainedFilm(
                number=number,
                size=(picture.shape[1], picture.shape[0]),
                heatmap=cam.tolist(),
                peak=float(cam.max()),
                place=pictures.hottest_place(cam),
                boxes=boxes,
                details=dict(film.details),
            )
        )


class _Counter:
    """Progress across the threads of one worker process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._done = 0

    def add(self, total: int) -> None:
        with self._lock:
            done = self._done = self._done % total + 1
        if done % _REPORT_EVERY == 0 or done == total:
            progress.report(done, total, "cases explained")


_COUNTER = _Counter()
