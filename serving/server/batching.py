"""Runs the requests of several clients as one batch, as TensorFlow Serving does if asked.

On a processor this does not pay: a batch of four takes as long as four images. It is there
for accelerators, and off unless `enable_batching` says otherwise.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from serving.server.errors import Code, ServerConfigError, StatusError, invalid
from serving.server.servable import Servable
from serving.server.text_protos import read_batching_parameters

_Key: TypeAlias = tuple[int, tuple[str, ...], tuple[str, ...]]


@dataclass(frozen=True)
class BatchingParameters:
    """TensorFlow Serving's, with its defaults.

    Raises:
      ServerConfigError: from the constructor: they contradict each other.

    Attributes:
      max_batch_size: rows of the largest batch.
      batch_timeout_micros: how long the first request of a batch may wait for others.
      max_enqueued_batches: batches of one signature that may wait; then UNAVAILABLE.
      num_batch_threads: batches that run at once.
      allowed_batch_sizes: rising, the last is `max_batch_size`; batches are filled up to the
        next of them by repeating a row. Empty for any size.
      pad_variable_length_inputs: fill up shorter rows with zeros, or empty strings.
    """

    max_batch_size: int = 1000
    batch_timeout_micros: int = 0
    max_enqueued_batches: int = 10
    num_batch_threads: int = field(default_factory=lambda: os.cpu_count() or 1)
    allowed_batch_sizes: tuple[int, ...] = ()
    pad_variable_length_inputs: bool = False

    def __post_init__(self) -> None:
        """Refuses what no batch could fulfil."""
        for name in ("max_batch_size", "max_enqueued_batches", "num_batch_threads"):
            if getattr(self, name) < 1:
                raise ServerConfigError(f"batching: {name} must be at least 1")
        sizes = self.allowed_batch_sizes
        if sizes and (list(sizes) != sorted(set(sizes)) or sizes[-1] != self.max_batch_size):
            raise ServerConfigError(
                "batching: allowed_batch_sizes must rise, and end with max_batch_size"
            )


def read_parameters(path: Path | None) -> BatchingParameters:
    """Reads a batching_parameters_file; without one these are the defaults.

    Raises:
      ServerConfigError: it cannot be read, or sets what is not supported here.
    """
    if path is None:
        return BatchingParameters()
    proto = read_batching_parameters(path)
    if proto.enable_large_batch_splitting.value or proto.HasField("max_execution_batch_size"):
        raise ServerConfigError(
            f"{path}: large batches are not split here: leave out enable_large_batch_splitting "
            "and max_execution_batch_size, and set max_batch_size to what the model can run"
        )
    settings: dict[str, Any] = {
        name: getattr(proto, name).value
        for name in (
            "max_batch_size",
            "batch_timeout_micros",
            "max_enqueued_batches",
            "num_batch_threads",
        )
        if proto.HasField(name)
    }
    return BatchingParameters(
        **settings,
        allowed_batch_sizes=tuple(proto.allowed_batch_sizes),
        pad_variable_length_inputs=proto.pad_variable_length_inputs,
    )


@dataclass
class _Task:
    servable: Servable
    feeds: Mapping[str, NDArray[Any]]
    size: int
    deadline: float | None
    arrived: float
    result: Future[list[NDArray[Any]]]


@dataclass
class _Batch:
    tasks: list[_Task] = field(default_factory=list)

    @property
    def size(self) -> int:
        return sum(task.size for task in self.tasks)


class BatchScheduler:
    """Collects the tasks of each version and signature, and runs them together."""

    def __init__(self, parameters: BatchingParameters) -> None:
        self._parameters = parameters
        self._changed = threading.Condition()
        self._queues: dict[_Key, deque[_Batch]] = {}
        self._closed = False
        self._threads = ThreadPoolExecutor(parameters.num_batch_threads, "cxr-batch")
        for _ in range(parameters.num_batch_threads):
            self._threads.submit(self._work)

    def run(
        self,
        servable: Servable,
        feeds: Mapping[str, NDArray[Any]],
        fetches: Sequence[str],
        deadline: float | None = None,
    ) -> list[NDArray[Any]]:
        """Like `Servable.run`, within a batch; blocks until that has run.

        Raises:
          StatusError: INVALID_ARGUMENT: inputs without a common first dimension, or larger
            than a batch may be; FAILED_PRECONDITION: shapes differ within the batch;
            UNAVAILABLE: the queue is full; what the model raises.
        """
        sizes = {len(array) if array.ndim else -1 for array in feeds.values()}
        if len(sizes) != 1 or -1 in sizes:
            raise invalid("Batching Run() input tensors must have equal 0th-dimension size")
        (size,) = sizes
        if size > self._parameters.max_batch_size:
            raise invalid(
                f"Task size {size} is larger than maximum input batch size "
                f"{self._parameters.max_batch_size}"
            )
        task = _Task(servable, feeds, size, deadline, time.monotonic(), Future())
        self._enqueue((id(servable), tuple(sorted(feeds)), tuple(fetches)), task)
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        try:
            return task.result.result(left)
        except FutureTimeoutError:
            task.result.cancel()  # it need not run if it still waits
            raise StatusError(
                Code.DEADLINE_EXCEEDED, "the deadline passed while the batch waited or ran"
            ) from None

    def close(self) -> None:
        """Runs what waits, and ends the threads."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._threads.shutdown(wait=True)

    def _enqueue(self, key: _Key, task: _Task) -> None:
        with self._changed:
            queue = self._queues.setdefault(key, deque())
            if not queue or queue[-1].size + task.size > self._parameters.max_batch_size:
                if len(queue) >= self._parameters.max_enqueued_batches:
                    raise StatusError(
                        Code.UNAVAILABLE,
                        "The batch scheduling queue to which this task was submitted is full; "
                        f"it holds {len(queue)} batches",
                    )
                queue.append(_Batch())
            queue[-1].tasks.append(task)
            self._changed.notify()

    def _work(self) -> None:
        while taken := self._take():
            key, batch = taken
            _run_batch(key, batch, self._parameters)

    def _take(self) -> tuple[_Key, _Batch] | None:
        """Waits for a batch that is full or due; None when the scheduler is closed and empty."""
        with self._changed:
            while True:
                wait = None
                for key, queue in self._queues.items():
                    left = self._seconds_left(queue)
                    if left <= 0 or self._closed:
                        batch = queue.popleft()
                        if not queue:
                            del self._queues[key]
                        return key, batch
                    wait = left if wait is None else min(wait, left)
                if self._closed:
                    return None
                self._changed.wait(wait)

    def _seconds_left(self, queue: deque[_Batch]) -> float:
        first = queue[0]
        if len(queue) > 1 or first.size >= self._parameters.max_batch_size:
            return 0.0
        due = first.tasks[0].arrived + self._parameters.batch_timeout_micros / 1e6
        return due - time.monotonic()


def _run_batch(key: _Key, batch: _Batch, parameters: BatchingParameters) -> None:
    tasks = [task for task in batch.tasks if task.result.set_running_or_notify_cancel()]
    try:
        answers = _run_together(key, tasks, parameters)
    except StatusError as error:
        if len(tasks) > 1:  # one client's bad input must not cost the others their answer
            for task in tasks:
                _run_alone(key, task, parameters)
        elif tasks:
            tasks[0].result.set_exception(error)
    except Exception as error:
        for task in tasks:
            task.result.set_exception(error)
    else:
        for task, answer in zip(tasks, answers, strict=True):
            task.result.set_result(answer)


def _run_alone(key: _Key, task: _Task, parameters: BatchingParameters) -> None:
    try:
        (answer,) = _run_together(key, [task], parameters)
    except Exception as error:
        task.result.set_exception(error)
    else:
        task.result.set_result(answer)


def _run_together(
    key: _Key, tasks: Sequence[_Task], parameters: BatchingParameters
) -> list[list[NDArray[Any]]]:
    """The outputs of each task."""
    if not tasks:
        return []
    _, names, fetches = key
    feeds = {name: _join([task.feeds[name] for task in tasks], parameters) for name in names}
    outputs = tasks[0].servable.run(feeds, fetches, _latest([task.deadline for task in tasks]))
    rows = len(next(iter(feeds.values())))
    if any(output.ndim == 0 or len(output) != rows for output in outputs):
        raise StatusError(
            Code.FAILED_PRECONDITION,
            "Batched output tensor's 0th dimension does not equal the sum of the 0th dimension "
            "sizes of the input tensors",
        )
    ends = np.cumsum([task.size for task in tasks])
    return [
        [output[end - task.size : end] for output in outputs]
        for task, end in zip(tasks, ends, strict=True)
    ]


def _latest(deadlines: Sequence[float | None]) -> float | None:
    """When nobody waits for the batch any more."""
    known = [one for one in deadlines if one is not None]
    return max(known) if len(known) == len(deadlines) else None


def _join(arrays: Sequence[NDArray[Any]], parameters: BatchingParameters) -> NDArray[Any]:
    shapes = {array.shape[1:] for array in arrays}
    if len(shapes) > 1:
        if not parameters.pad_variable_length_inputs or len({len(shape) for shape in shapes}) > 1:
            raise StatusError(
                Code.FAILED_PRECONDITION,
                "Tensors with name have different shapes besides 0th dimension; set "
                "pad_variable_length_inputs to pad them",
            )
        largest = tuple(max(sizes) for sizes in zip(*shapes, strict=True))
        arrays = [_padded(array, largest) for array in arrays]
    joined = np.concatenate(arrays)
    wanted = next((n for n in parameters.allowed_batch_sizes if n >= len(joined)), len(joined))
    if wanted > len(joined) > 0:
        joined = np.concatenate([joined, np.repeat(joined[:1], wanted - len(joined), axis=0)])
    return joined


def _padded(array: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    missing = [(0, wanted - size) for wanted, size in zip(shape, array.shape[1:], strict=True)]
    filler: Any = b"" if array.dtype == object else 0
    return np.pad(array, [(0, 0), *missing], constant_values=filler)
