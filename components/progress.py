"""How a node tells how far it is.

A report is a log record that carries numbers, so that a runner can draw it and any other reader
of the logs still sees a sentence.
"""

from __future__ import annotations

import dataclasses
import logging

LOGGER = logging.getLogger("cxr.progress")
LOGGER.setLevel(logging.INFO)


@dataclasses.dataclass(frozen=True)
class Progress:
    """A step of a node's work: `done` of `total`, `what` in words such as `images embedded`."""

    done: int
    total: int
    what: str

    def __str__(self) -> str:
        return f"{self.done:,} of {self.total:,} {self.what}"


def report(done: int, total: int, what: str) -> None:
    """Say that `done` of `total` are done."""
    LOGGER.info(Progress(done, total, what))


def warn(text: str) -> None:
    """Say something that the user of the run must not miss."""
    LOGGER.warning(text)
