"""What the terminal shows while a pipeline runs: which node, how far, how long."""

from __future__ import annotations

import logging
import time
from types import TracebackType

import absl.logging
import rich.progress
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

    def __init__(self, console: Console, nodes: int = 0):
        """Prepare.

        Args:
          console: where to draw.
          nodes: how many the pipeline has.
        """
        super().__init__()
        self.seconds: dict[str, float] = {}
        self.nodes = nodes
        self._console = console
        self._node = ""
        self._started = 0.0
        self._said = 0.0
        self._pace = _Pace()
        self._line = rich.progress.Progress(
            rich.progress.SpinnerColumn(),
            rich.progress.TextColumn("{task.description}"),
            rich.progress.TimeElapsedColumn(),
            console=console,
            transient=True,
        )

    def __enter__(self) -> Display:
        # By the flag, which holds: every Beam node parses the flags, and resets a mere level.
        absl.logging.set_verbosity(absl.logging.INFO)
        logging.getLogger(_RUNNER_LOGGER).addHandler(self)
        LOGGER.addHandler(self)
        if self._console.is_terminal:
            self._line.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        logging.getLogger(_RUNNER_LOGGER).removeHandler(self)
        LOGGER.removeHandler(self)
        if self._console.is_terminal:
            self._line.stop()

    def emit(self, record: logging.LogRecord) -> None:
        """Take one log record."""
        # LocalDagRunner calls no one back; these two messages are how it tells where it is.
        if record.msg == "Component %s is running.":
            self._start(str(record.args[0]))  # type: ignore[index]
        elif record.msg == "Component %s is finished.":
            self._finish()
        elif isinstance(record.msg, Progress):
            self._progress(record.msg)
        elif record.name == LOGGER.name and record.levelno >= logging.WARNING:
            self._console.print(f"[bold yellow]! {escape(record.getMessage())}", soft_wrap=True)

    def _start(self, node: str) -> None:
        self._node, self._started = node, time.monotonic()
        self._said = self._started
        self._pace = _Pace()
        for task in self._line.task_ids:
            self._line.remove_task(task)
        self._draw(f"[bold]{node}")
        if not self._console.is_terminal:
            self._console.print(f"  {self._position()} {node} ...")

    def _finish(self) -> None:
        seconds = time.monotonic() - self._started
        self.seconds[self._node] = seconds
        self._console.print(
            f"[green]✓[/] {self._position(done=True)} [bold]{self._node:<18}[/] {seconds:5.1f} s"
        )

    def _progress(self, step: Progress) -> None:
        now = time.monotonic()
        left = self._pace.seconds_left(step, now)
        text = f"{self._node}: {step}"
        if left is not None:
            text += f", about {left:.0f} s left"
        self._draw(escape(text))
        if not self._console.is_terminal and now - self._said > _PLAIN_EVERY_SECONDS:
            self._said = now
            self._console.print(f"    {escape(text)}", soft_wrap=True)

    def _draw(self, text: str) -> None:
        """The line at the bottom of a terminal; its clock is that of the node."""
        description = f"{self._position()} {text}"
        if not self._line.tasks:
            self._line.add_task(description, total=None)
        self._line.update(self._line.task_ids[0], description=description)

    def _position(self, *, done: bool = False) -> str:
        return f"[{len(self.seconds) + (not done)}/{self.nodes}]".replace("[", r"\[", 1)


class _Pace:
    """How fast a step goes, from its first report on; another total is another step."""

    def __init__(self) -> None:
        self._first: tuple[Progress, float] | None = None

    def seconds_left(self, step: Progress, now: float) -> float | None:
        if (
            self._first is None
            or step.total != self._first[0].total
            or step.done < self._first[0].done
        ):
            self._first = (step, now)
        first, since = self._first
        if step.done == first.done:
            return None
        return (now - since) / (step.done - first.done) * (step.total - step.done)
