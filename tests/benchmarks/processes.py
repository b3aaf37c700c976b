"""Measures work in a process of its own, so that its peak memory is its own."""

from __future__ import annotations

import multiprocessing
import resource
import time
from collections.abc import Callable
from typing import Any


def alone(
    work: Callable[..., dict[str, float] | None],
    *arguments: Any,
    prepare: Callable[[], object] | None = None,
) -> dict[str, float]:
    """Run in a new process.

    Args:
      work: what is measured; figures of its own that it returns are added, or win.
      *arguments: for it.
      prepare: what is done before, such as imports, and is not measured.

    Returns:
      `wall` in seconds; `cores` that were busy; `peak` and, before the work, `imports`: the
      process's largest memory, in MiB.

    Raises:
      EOFError: if the process died.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_measure, args=(sender, work, arguments, prepare))
    process.start()
    # This process's own end: else a child that dies would be waited for.
    sender.close()
    try:
        return receiver.recv()
    finally:
        process.join()


def _measure(
    sender: Any,
    work: Callable[..., dict[str, float] | None],
    arguments: tuple[Any, ...],
    prepare: Callable[[], object] | None,
) -> None:
    if prepare:
        prepare()
    before = resource.getrusage(resource.RUSAGE_SELF)
    start = time.perf_counter()
    own = work(*arguments)
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_SELF)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    measured = {
        "wall": wall,
        "cores": processor / wall,
        "peak": after.ru_maxrss / 1024,
        "imports": before.ru_maxrss / 1024,
    }
    sender.send(measured | (own or {}))
