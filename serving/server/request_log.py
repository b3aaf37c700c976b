"""An opt-in log of what a server was asked: scalars of the images and of the answers.

Drift is found in it (`cxr drift`). It holds no pixels and nothing that names anyone: a line is an
image's scalars, to four digits, and the minute in which it was answered.

    {"time": "2031-05-14T09:26Z", "model": "cxr", "version": 3, "values": {"mean": 0.4821, ...}}

Where lines were lost, the next line says how many:

    {"time": "2031-05-14T09:31Z", "dropped": 12}

TensorFlow is not needed.
"""

from __future__ import annotations

import datetime
import json
import logging
import math
import queue
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from serving.prediction import PredictionError
from serving.server.rotated_files import RotatedFiles

_LOGGER = logging.getLogger(__name__)
_DIGITS = 4
# Of a line it takes some 300 bytes: this is 3 MB, and ten seconds of a busy server.
_WAITING = 10_000
_AT_ONCE = 500
# A disk that is full now is full in the next millisecond.
_PAUSE_SECONDS = 1.0


class RequestLogError(PredictionError):
    """The log's folder cannot be used, or its settings cannot be meant."""


class RequestLog:
    """Writes scalars of answered images to files of bounded size and number.

    Nothing it does can hold up or fail a request: `record` puts lines into a bounded queue, and a
    thread of its own writes them. What the queue or the disk has no room for is dropped, counted,
    and told in the log. Safe to be called by many threads; a context manager.

    Attributes:
      folder: where the files are. One server writes to it.
      dropped: lines lost since the start.
    """

    def __init__(
        self,
        folder: Path,
        *,
        max_bytes: int = 10_000_000,
        max_files: int = 10,
        sampling: float = 1.0,
        clock: Callable[[], datetime.datetime] = lambda: datetime.datetime.now(datetime.UTC),
    ):
        """Go on where the newest file ends.

        Args:
          folder: is made where there is none, for its owner alone.
          max_bytes: of a file; then the next one is begun.
          max_files: the oldest are deleted when there are more, so that the log takes at most
            max_files * max_bytes.
          sampling: the share of answered images that `choose` picks, on (0, 1].
          clock: tells the time, aware of its zone.

        Raises:
          RequestLogError: if the folder cannot be written to, or a setting is out of range.
        """
        for name, value, sound in (
            ("max_bytes", max_bytes, max_bytes >= 1_000),
            ("max_files", max_files, max_files >= 1),
            ("sampling", sampling, 0 < sampling <= 1),
        ):
            if not sound:
                raise RequestLogError(
                    f"request log: {name} is {value}; max_bytes is at least 1,000, max_files at "
                    "least 1, and sampling above 0 and at most 1"
                )
        self.folder = folder
        self.dropped = 0
        self._sampling = sampling
        self._clock = clock
        self._files = RotatedFiles(folder, max_bytes, max_files)
        try:
            self._files.open()
        except OSError as error:
            raise RequestLogError(
                f"request log: {folder} cannot be written to ({error.strerror}): give a folder "
                "that the server may write to, or leave the log off"
            ) from error
        self._random = random.Random()
        self._waiting: queue.Queue[str | None] = queue.Queue(_WAITING)
        self._lock = threading.Lock()
        self._untold = 0
        self._closed = False
        self._thread = threading.Thread(target=self._write_all, name="request-log", daemon=True)
        self._thread.start()

    def choose(self, images: int) -> list[int]:
        """Which of a request's images to record, so that the others need not be measured."""
        if self._sampling == 1:
            return list(range(images))
        return [i for i in range(images) if self._random.random() < self._sampling]

    def record(self, model: str, version: int, values: Mapping[str, Sequence[float]]) -> None:
        """Have a line written for each image; returns at once.

        Args:
          model: its name.
          version: that answered.
          values: by name a value for each of the images, as `scalars` puts them together. What is
            no finite number is left out.
        """
        head = {"time": self._minute(), "model": model, "version": version}
        for row in list(zip(*values.values(), strict=True)):  # all of them, or an error
            finite = {
                name: float(f"{float(value):.{_DIGITS}g}")
                for name, value in zip(values, row, strict=True)
                if math.isfinite(value)
            }
            try:
                if self._closed:
                    raise queue.Full
                self._waiting.put_nowait(_line(head | {"values": finite}))
            except queue.Full:
                self.drop(1)

    def drop(self, lines: int) -> None:
        """Count lines that will not come; the log tells them with the next that is written."""
        with self._lock:
            self.dropped += lines
            self._untold += lines

    def close(self, timeout: float = 5.0) -> None:
        """Write what waits, for at most so many seconds. What comes later is dropped."""
        if self._closed:
            return
        self._closed = True
        end = time.monotonic() + timeout
        try:
            self._waiting.put(None, timeout=timeout)
        except queue.Full:  # the disk is; the thread is a daemon, and ends with the process
            return
        self._thread.join(max(0.0, end - time.monotonic()))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _minute(self) -> str:
        return self._clock().astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%MZ")

    def _write_all(self) -> None:
        more = True
        while more:
            lines = [self._waiting.get()]
            while len(lines) < _AT_ONCE and lines[-1] is not None:
                try:
                    lines.append(self._waiting.get_nowait())
                except queue.Empty:
                    break
            more = lines[-1] is not None
            self._write([line for line in lines if line is not None])
        self._files.close()

    def _write(self, lines: Sequence[str]) -> None:
        with self._lock:
            untold = self._untold
        told = [_line({"time": self._minute(), "dropped": untold})] if untold else []
        try:
            self._files.write([*lines, *told])
        except OSError as error:
            # Told once: a line for each request would fill the next disk.
            if not untold:
                _LOGGER.warning("request log: cannot write to %s: %s", self.folder, error)
            self.drop(len(lines))
            if not self._closed:
                time.sleep(_PAUSE_SECONDS)
        else:
            with self._lock:
                self._untold -= untold


def scalars(
    answer: Mapping[str, Any], measured: Mapping[str, Sequence[float]]
) -> dict[str, Sequence[float]]:
    """What of an answer goes into the log.

    Args:
      answer: of `serving_default`: `probability` [N]; of a multi-label model [N, K], with the
        findings' names as `label`, bytes or text, [N, K].
      measured: of `measure`, for the same images, each [N].

    Returns:
      The measured scalars and `probability`; of a multi-label model `probability/FINDING` for
      each finding. Each [N].
    """
    probabilities = list(answer["probability"])
    if not probabilities or not hasattr(probabilities[0], "__len__"):
        return {**measured, "probability": probabilities}
    names = [one.decode() if isinstance(one, bytes) else str(one) for one in answer["label"][0]]
    columns = zip(*probabilities, strict=True)
    return {
        **measured,
        **{f"probability/{n}": list(c) for n, c in zip(names, columns, strict=True)},
    }


def _line(content: Mapping[str, Any]) -> str:
    return json.dumps(content, separators=(",", ":"), allow_nan=False) + "\n"
