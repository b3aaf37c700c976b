"""Measures what was answered, in the background, for the request log.

The log is off unless a folder is given for it. It holds scalars and scores, never pixels, and
nothing that it does holds up or fails a request. What is not measured it counts and tells.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tensorflow_serving.apis import model_pb2

from serving.server import inference
from serving.server.errors import StatusError
from serving.server.inference import Arrays, Call
from serving.server.manager import ModelManager
from serving.server.request_log import RequestLog, scalars
from serving.server.servable import Servable

_log = logging.getLogger(__name__)

MEASURE = "measure"
IMAGES = "image_bytes"
# Images wait in memory: what comes while so many requests wait is not measured.
_WAITING = 32


@dataclass(frozen=True)
class _Answered:
    spec: model_pb2.ModelSpec
    images: NDArray[Any]
    outputs: Arrays


class Watcher:
    """Runs signature `measure` on answered images, and has the log record what it finds."""

    def __init__(self, models: ModelManager, log: RequestLog) -> None:
        self._models = models
        self._request_log = log
        self._waiting: queue.Queue[_Answered | None] = queue.Queue(_WAITING)
        self._is_closed = False
        self._thread = threading.Thread(target=self._work, name="cxr-serve-watch", daemon=True)
        self._thread.start()

    def answered(self, servable: Servable, inputs: Arrays, outputs: Arrays) -> None:
        """Notes a request's images and probabilities; returns at once.

        Requests without them, and models that cannot measure, are passed over.
        """
        try:
            self._note(servable, inputs, outputs)
        except Exception as error:  # of a model with odd shapes; its answer is still an answer
            _log.warning("an answer of %s cannot be measured: %r", servable.name, error)
            self._request_log.drop(1)

    def _note(self, servable: Servable, inputs: Arrays, outputs: Arrays) -> None:
        if IMAGES not in inputs or "probability" not in outputs or not servable.signature(MEASURE):
            return
        chosen = self._request_log.choose(len(inputs[IMAGES]))
        if not chosen:
            return
        spec = model_pb2.ModelSpec(name=servable.name)
        spec.version.value = servable.version
        kept = {name: outputs[name][chosen] for name in ("probability", "label") if name in outputs}
        answered = _Answered(spec, inputs[IMAGES][chosen], kept)
        try:
            if self._is_closed:
                raise queue.Full
            self._waiting.put_nowait(answered)
        except queue.Full:
            self._request_log.drop(len(chosen))

    def close(self, seconds: float) -> None:
        """Measures what waits, for at most so many seconds, and drops the rest; ends the log."""
        end = time.monotonic() + seconds
        self._is_closed = True
        with contextlib.suppress(queue.Full):
            self._waiting.put(None, timeout=seconds)
        self._thread.join(max(0.0, end - time.monotonic()))
        self._empty()
        # The thread may still be in a measure: it ends after that.
        self._waiting.put(None)
        self._request_log.close()

    def _empty(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                if one := self._waiting.get_nowait():
                    self._request_log.drop(len(one.images))

    def _work(self) -> None:
        while (one := self._waiting.get()) is not None:
            try:
                self._measure(one)
            except StatusError as error:  # its version may have been unloaded meanwhile
                _log.warning("an answer was not measured: %s", error)
                self._request_log.drop(len(one.images))
            except Exception:
                _log.exception("an answer was not measured")
                self._request_log.drop(len(one.images))

    def _measure(self, one: _Answered) -> None:
        with self._models.acquire(one.spec) as servable:
            signature = servable.signature(MEASURE)
            measured = inference.run_signature(signature, {IMAGES: one.images}, Call(servable.run))
        values = {name: _listed(array) for name, array in measured.items()}
        self._request_log.record(
            one.spec.name, one.spec.version.value, scalars(one.outputs, values)
        )


def _listed(array: NDArray[Any]) -> Sequence[float]:
    return np.asarray(array, float).ravel().tolist()
