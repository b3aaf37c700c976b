"""What the terminal shows, from the log records that TFX and the nodes send."""

from __future__ import annotations

import io
import logging

import absl.logging
from rich.console import Console

from components import progress
from pipeline.display import Display, _Pace


def _shown(node: str, *reports: tuple[int, int]) -> tuple[str, dict[str, float]]:
    stream = io.StringIO()
    with Display(Console(file=stream, width=80, highlight=False), nodes=2) as display:
        absl.logging.info("Component %s is running.", node)
        for done, total in reports:
            progress.report(done, total, "images embedded")
        absl.logging.info("Component %s is finished.", node)
    return stream.getvalue(), display.seconds


def test_a_finished_node_has_its_place_and_its_time() -> None:
    text, seconds = _shown("Trainer")
    started, finished = text.splitlines()
    assert started == "  [1/2] Trainer ..."
    assert finished.startswith("✓ [1/2] Trainer")
    assert finished.endswith(" s")
    assert list(seconds) == ["Trainer"]
    assert 0 <= seconds["Trainer"] < 5


def test_a_plain_terminal_is_not_flooded() -> None:
    text, _ = _shown("Trainer", *((done, 1000) for done in range(1, 1001)))
    assert len(text.splitlines()) == 2


def test_progress_is_a_sentence_for_every_other_reader() -> None:
    assert str(progress.Progress(1200, 5000, "images checked")) == "1,200 of 5,000 images checked"


def test_the_time_left_is_that_of_the_step() -> None:
    pace = _Pace()
    assert pace.seconds_left(progress.Progress(10, 100, "images"), now=50.0) is None
    assert pace.seconds_left(progress.Progress(30, 100, "images"), now=60.0) == 35.0
    # The next split starts anew, whatever the first one took.
    assert pace.seconds_left(progress.Progress(5, 40, "images"), now=70.0) is None
    assert pace.seconds_left(progress.Progress(15, 40, "images"), now=71.0) == 2.5


def test_a_warning_of_a_node_is_shown_and_a_library_s_is_not() -> None:
    stream = io.StringIO()
    with Display(Console(file=stream, width=80), nodes=2):
        progress.warn("going on with RANDOM weights")
        absl.logging.warning("some API will change")
    assert stream.getvalue() == "! going on with RANDOM weights\n"


def test_it_listens_only_while_it_is_open() -> None:
    before = list(logging.getLogger("absl").handlers)
    _shown("Trainer")
    assert logging.getLogger("absl").handlers == before
