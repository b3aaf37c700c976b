"""What the terminal shows while a pipeline runs: which node, how far, how long."""

from __future__ import annotations

import logging
import time
from types import TracebackType

import absl.logging
from rich.console import Console
from rich.markup import escape

from components.progress import LOGGER, Progress

# A line now and then where the terminal cannot be drawn on.
_PLAIN_EVERY_SECONDS = 10.0
_RUNNER_LOGGER = "absl"


class Display(logging.Handler):
    """Turns the runner's log records and the nodes' progress into a few lines.

    As a context manager it listens for the time of a run. `seconds` then holds the wall time of
    each node, in the order in which they ran.
    """

    def __init__(self, console: Console, nodes: int):
        """Prepare.

        Args:
          console: where to draw.
          nodes: how many the pipeline has.
        """
        super().__init__()
        self.seconds: dict[str, float] = {}
        self._console = console
        self._nodes = nodes
        self._node = ""
        self._started = 0.0
        self._said = 0.0
        self._status = console.status("")

    def __enter__(self) -> Display:
        # By the flag, which holds: every Beam node parses the flags, and resets a mere level.
        absl.logging.set_verbosity(absl.logging.INFO)
        logging.getLogger(_RUNNER_LOGGER).addHandler(self)
        LOGGER.addHandler(self)
        if self._console.is_terminal:
            self._status.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        logging.getLogger(_RUNNER_LOGGER).removeHandler(self)
        LOGGER.removeHandler(self)
        self._status.stop()

    @property
    def node(self) -> str:
        """The node that is running, or ran last."""
        return self._node

    def emit(self, record: logging.LogRecord) -> None:
        """Take one log record."""
        # LocalDagRunner calls no one back; these two messages are how it tells where it is.
        if record.msg == "Component %s is running.":
            self._start(str(record.args[0]))  # type: ignore[index]
        elif record.msg == "Component %s is finished.":
            self._finish()
        elif isinstance(record.msg, Progress):
            self._progress(record.msg)
        elif record.levelno >= logging.WARNING and "RANDOM" in record.getMessage():
            self._console.print(f"[bold yellow]  ! {escape(record.getMessage())}")

    def _start(self, node: str) -> None:
        self._node, self._started = node, time.monotonic()
        self._said = self._started
        self._status.update(f"{self._position()} [bold]{node}")

    def _finish(self) -> None:
        seconds = time.monotonic() - self._started
        self.seconds[self._node] = seconds
        self._console.print(
            f"[green]✓[/] {self._position(done=True)} [bold]{self._node:<18}[/] {seconds:5.1f} s"
        )

    def _progress(self, step: Progress) -> None:
        elapsed = time.monotonic() - self._started
        left = elapsed / step.done * (step.total - step.done) if step.done else 0.0
        text = f"{self._node}: {step}, {elapsed:.0f} s, about {left:.0f} s left"
        if self._console.is_terminal:
            self._status.update(f"{self._position()} {escape(text)}")
        elif time.monotonic() - self._said > _PLAIN_EVERY_SECONDS:
            self._said = time.monotonic()
            self._console.print(f"  {escape(text)}", soft_wrap=True)

    def _position(self, *, done: bool = False) -> str:
        return f"[{len(self.seconds) + (not done)}/{self._nodes}]".replace("[", r"\[", 1)
