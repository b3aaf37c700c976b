"""Who may run, who waits, and who is refused.

A server that takes all requests answers none in time. This one runs as many at once as the
processor has use for, lets a bounded number wait, and tells the others at once.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from serving.server.errors import Code, StatusError
from serving.server.metrics import QUEUED, REFUSED_COUNT, RUNNING, Metrics

T = TypeVar("T")


class Admission:
    """Runs work in threads, of which there are so many, for a queue that is so long."""

    def __init__(self, *, max_running: int, max_queued: int, metrics: Metrics) -> None:
        self._max_running = max_running
        self._max_pending = max_running + max_queued
        self._metrics = metrics
        self._lock = threading.Lock()
        self._pending = 0
        self._threads = ThreadPoolExecutor(max_running, "cxr-serve")

    @property
    def pending(self) -> int:
        """How many requests run or wait."""
        return self._pending

    async def run(self, work: Callable[[], T], deadline: float | None) -> T:
        """Runs blocking work in a thread, in the order of arrival.

        Args:
          work: ends by itself soon after the deadline; its result is then dropped.
          deadline: on `time.monotonic`'s clock.

        Raises:
          StatusError: RESOURCE_EXHAUSTED: the queue is full; DEADLINE_EXCEEDED.
        """
        with self._lock:
            if self._pending >= self._max_pending:
                self._metrics.count(REFUSED_COUNT)
                raise StatusError(
                    Code.RESOURCE_EXHAUSTED,
                    f"The server is busy: {self._pending} requests run or wait. Try again later.",
                )
            self._add(1)
        future = self._threads.submit(work)
        # Not when the client stops waiting, but when the thread is free again.
        future.add_done_callback(self._finished)
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), left)
        except TimeoutError:
            raise StatusError(
                Code.DEADLINE_EXCEEDED, "the deadline passed before the model had answered"
            ) from None

    def close(self) -> None:
        """Starts nothing that waits, and returns when what runs has ended."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _finished(self, _: Any) -> None:
        with self._lock:
            self._add(-1)

    def _add(self, number: int) -> None:
        self._pending += number
        self._metrics.gauge(RUNNING, min(self._pending, self._max_running))
        self._metrics.gauge(QUEUED, max(0, self._pending - self._max_running))
