"""`cxr`, again and again, in children of a process that has imported everything once.

Reads one request for each line of standard input, runs it in a process group of its own, and
answers with a line of JSON: how the child ended. It has run no TensorFlow operation before it
forks, so there are no threads that a child would miss.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

_IMPORTED = (
    "components.cross_dataset.heads",
    "components.trainer.run_fn",
    "pipeline.runners.local",
    "pipeline.summary",
)


class Killer(logging.Handler):
    """Ends its process group, as `kill -9` does, while a node executes.

    After so many seconds, or, if the node is faster, when it has written its outputs, but before
    ML Metadata knows of them.
    """

    def __init__(self, node: str, after: float) -> None:
        """Takes the node's name, and the seconds from its start."""
        super().__init__()
        self._node, self._after, self._here = node, after, False

    def emit(self, record: logging.LogRecord) -> None:
        """Looks where the runner is."""
        if record.msg == "Component %s is running.":
            self._here = record.args == (self._node,)
        elif record.msg == "Component %s is finished." and self._here:
            # It had nothing to execute: a resolver.
            kill()
        elif record.msg == "Going to run a new execution: %s" and self._here:
            timer = threading.Timer(self._after, kill)
            timer.daemon = True
            timer.start()
        elif record.msg == "Execution %d succeeded." and self._here:
            kill()


def kill() -> None:
    """Ends the process and its children at once."""
    os.killpg(os.getpgid(0), signal.SIGKILL)


def _run(request: dict[str, Any]) -> None:
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    output = os.open(request["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(nothing, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    if request["kill"]:
        logging.getLogger("absl").addHandler(Killer(**request["kill"]))
    sys.argv = ["cxr", *request["arguments"]]
    main()


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    started = time.monotonic()
    child = os.fork()
    if not child:
        code = 1
        try:
            _run(request)
            code = 0
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 1
        finally:
            sys.stdout.flush()
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return {
        "pid": child,
        "code": os.waitstatus_to_exitcode(status),
        "seconds": time.monotonic() - started,
    }


if __name__ == "__main__":
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer

    for module in _IMPORTED:
        importlib.import_module(module)
    from pipeline.cli import main

    threads = [one.joinpath("comm").read_text() for one in Path("/proc/self/task").iterdir()]
    # A fork loses threads; the allocator makes its own anew.
    assert set(threads[1:]) <= {"jemalloc_bg_thd\n"}, threads
    print(json.dumps("ready"), file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(_answer(json.loads(line))), file=answers, flush=True)
