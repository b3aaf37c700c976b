"""`cxr report`: open, list and compare what runs have told of their models."""

from __future__ import annotations

import datetime
import os
import sys
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from components.disclaimer import DISCLAIMER
from components.errors import InputError
from pipeline.console import noise_to
from pipeline.copying import LocalPath

if TYPE_CHECKING:
    from rich.table import Table

    from components.report.comparison import Paired
    from components.report.figures import Figures

_NODE_OUTPUT = Path("artifacts/EvaluationReport/report")
_PAGES = {"report": "report.html", "card": "model_card.html", "tfma": "tfma.html"}

_RUNS = click.option(
    "--runs",
    type=LocalPath(file_okay=False),
    default=Path("runs"),
    show_default=True,
    help="Where the experiments were run.",
)


class NoReportError(InputError):
    """A run that has no report; the message says where one was looked for."""


@click.group()
def report() -> None:
    """Open, list or compare the reports of runs.

    A RUN is an experiment, whose newest report is meant; EXPERIMENT/NUMBER, as `list` shows them;
    or the path of a run's folder or of a report.
    """


@report.command(name="open")
@click.argument("run", required=False)
@click.option("--page", type=click.Choice(list(_PAGES)), default="report", show_default=True)
@_RUNS
def open_(run: str | None, page: str, runs: Path) -> None:
    """Open the report of RUN in the browser.  [default: the newest of all]"""
    folder = find_report(run, runs) if run else _newest(runs)
    path = (folder / _PAGES[page]).resolve()
    if not path.is_file():
        raise NoReportError(f"{folder} has no {path.name}")
    click.echo(path)
    if _has_display():
        webbrowser.open(path.as_uri())


@report.command(name="list")
@_RUNS
def list_(runs: Path) -> None:
    """List the reports below the runs folder, newest first, with verdict and AUCs."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from components.report.figures import auc_of

    table = Table()
    for heading in ("run", "written", "verdict", "AUC on test images"):
        table.add_column(heading)
    for folder in _all(runs):
        figures = load_figures(folder)
        written = datetime.datetime.fromtimestamp(_written(folder))
        refused = ", ".join(dict.fromkeys(one.name for one in figures.judgement.refused_by))
        verdict = "[green]✓ blessed[/]" if figures.judgement.blessed else "[red]✕ refused[/]"
        if refused:
            verdict += escape(f": {refused}")
        table.add_row(
            escape(_name(folder, runs)),
            f"{written:%Y-%m-%d %H:%M}",
            verdict,
            escape(
                "\n".join(
                    f"{one.slice['dataset']} {auc_of(one) or '–'}" for one in figures.headlines()
                )
            ),
        )
    if not table.rows:
        raise NoReportError(_nowhere(runs))
    Console().print(table)


@report.command()
@click.argument("first", metavar="RUN")
@click.argument("second", metavar="RUN")
@click.option("--markdown", is_flag=True, help="Write Markdown.")
@_RUNS
def compare(first: str, second: str, markdown: bool, runs: Path) -> None:
    """Put the figures of two RUNs side by side: differences are the second's minus the first's.

    Where both scored the same test images, with DeLong's paired test of their AUCs.
    """
    one, other = load_figures(find_report(first, runs)), load_figures(find_report(second, runs))
    from components.report.comparison import compare as compare_figures

    headings = ("dataset", "figure", first, second, "difference")
    lines = [line.cells for line in compare_figures(one, other)]
    if not lines:
        raise NoReportError(
            f"{first} and {second} have no dataset in common: "
            f"{', '.join(one.datasets)}; {', '.join(other.datasets)}"
        )
    said = [*_tests(one, other), DISCLAIMER]
    if markdown:
        click.echo(_markdown(headings, lines))
        click.echo("\n" + "\n\n".join(said))
        return
    from rich.console import Console

    console = Console(highlight=False)
    console.print(_table(headings, lines))
    for sentence in said:
        console.print(sentence, markup=False, soft_wrap=True)


def _tests(first: Figures, second: Figures) -> list[str]:
    """What DeLong's test says, or why there is none."""
    with noise_to(Path(os.devnull)):
        from tfx.dsl.io import fileio

    uris = [figures.lineage.artifacts["scores"].uri for figures in (first, second)]
    for uri in uris:
        if not fileio.isdir(uri):
            return [f"No paired test: the scores are no longer in {uri}."]
    from components.report.comparison import paired_tests

    with noise_to(Path(os.devnull)):
        from components.scorer.scores import read_scores

    scores = [read_scores(uri, "test") for uri in uris]
    found = [_sentence(test) for test in paired_tests(scores[0], scores[1])]
    return found or ["No paired test: they were not tested on the same images."]


def _sentence(test: Paired) -> str:
    from components.report.tables import p_value, signed

    p = p_value(test.comparison.p_value)
    return (
        f"{test.finding.replace('_', ' ')} on {test.dataset}, the same {test.n:,} images: AUC "
        f"differs by {signed(test.comparison.difference)}, p {p if p[0] == '<' else f'= {p}'} "
        "(DeLong, paired)."
    )


def _table(headings: tuple[str, ...], lines: Sequence[tuple[str, ...]]) -> Table:
    from rich.markup import escape
    from rich.table import Table

    table = Table()
    for number, heading in enumerate(headings):
        table.add_column(escape(heading), justify="left" if number < 2 else "right")
    for line in lines:
        table.add_row(*map(escape, line))
    return table


def _markdown(headings: tuple[str, ...], lines: Sequence[tuple[str, ...]]) -> str:
    rows = [headings, ("---", "---", "---:", "---:", "---:"), *lines]
    return "\n".join(
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows
    )


def find_report(run: str, runs: Path) -> Path:
    """The folder of a run's report.

    Args:
      run: an experiment, whose newest report is meant; EXPERIMENT/NUMBER; or a folder.
      runs: where the experiments were run.

    Raises:
      NoReportError: if there is none; says where it was looked for.
    """
    path = Path(run)
    experiment, _, number = run.rpartition("/")
    for folder in (path, runs / run, runs / experiment / _NODE_OUTPUT / number):
        if (folder / "figures.json").is_file():
            return folder
        found = _reports(folder)
        if found:
            return max(found, key=lambda one: int(one.name))
    raise NoReportError(
        f"no report of {run!r}: looked in {runs / run} and {path}, below {_NODE_OUTPUT}. "
        "See cxr report list"
    )


def _reports(run: Path) -> list[Path]:
    """The folders of the reports of an experiment."""
    return [
        path.parent
        for path in (run / _NODE_OUTPUT).glob("*/figures.json")
        if path.parent.name.isdecimal()
    ]


def _all(runs: Path) -> list[Path]:
    found = [folder for run in runs.glob("*") for folder in _reports(run)]
    return sorted(found, key=_written, reverse=True)


def _newest(runs: Path) -> Path:
    found = _all(runs)
    if not found:
        raise NoReportError(_nowhere(runs))
    return found[0]


def _nowhere(runs: Path) -> str:
    return f"no report in {runs}: looked for {runs}/*/{_NODE_OUTPUT}/*. Run an experiment first"


def _name(folder: Path, runs: Path) -> str:
    return f"{folder.relative_to(runs).parts[0]}/{folder.name}"


def _written(folder: Path) -> float:
    return (folder / "figures.json").stat().st_mtime


def load_figures(folder: Path) -> Figures:
    """What a report says.

    Raises:
      NoReportError: if another version wrote it.
    """
    import pydantic

    from components.report.figures import Figures

    try:
        return Figures.model_validate_json((folder / "figures.json").read_bytes())
    except pydantic.ValidationError as error:
        raise NoReportError(
            f"{folder}/figures.json was written by another version: run the experiment again"
        ) from error


def _has_display() -> bool:
    """Whether a browser has a screen to open on; one in the terminal would take it over."""
    if sys.platform in ("darwin", "win32"):
        return True
    return any(name in os.environ for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))
