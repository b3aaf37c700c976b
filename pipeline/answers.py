"""The answers of `cxr predict`: got with progress in sight, and written as they come."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from components.disclaimer import DISCLAIMER
from serving.prediction import (
    Answer,
    Explanation,
    Failure,
    FindingsPrediction,
    Outcome,
    Prediction,
    Predictor,
    encode_image,
)
from serving.prediction.quality import sentences
from serving.results_file import ResultsFile


class Answers:
    """Asks a predictor of files, and puts its answers where they are wanted."""

    def __init__(self, predictor: Predictor, identity: str, paths: Sequence[Path]) -> None:
        """Asks nothing yet.

        Args:
          predictor: to be asked.
          identity: which model it is, in files that are gone on with.
          paths: of the images.
        """
        self._predictor = predictor
        self._identity = identity
        self._paths = paths
        self._pictures: Path | None = None
        self._out: Path | None = None
        self._skipped = 0

    def draw_to(self, pictures: Path) -> None:
        """Draws each explanation: into a PNG file, or, of several images, into a folder."""
        if len(self._paths) == 1 and pictures.suffix.lower() != ".png":
            raise click.BadParameter(f"{pictures}: must end in .png", param_hint="--explain")
        self._pictures = pictures

    def write_to(self, out: Path) -> None:
        """Writes the answers to a file, .csv or .json."""
        self._out = out

    def get(self) -> Outcome[Answer]:
        """Asks of all files that are not yet answered.

        Raises:
          ResultsFileError: the file of answers cannot be gone on with.
          PredictionError: the model does not answer.
        """
        with contextlib.ExitStack() as stack:
            file = None
            paths = list(self._paths)
            if self._out and self._out.suffix.lower() == ".csv":
                file = stack.enter_context(ResultsFile(self._out, self._identity))
                paths = [path for path in paths if str(path) not in file.done]
                self._skipped = len(self._paths) - len(paths)
            answers: list[Answer | Failure] = []
            for answer in self._in_sight(self._ask(paths), len(paths)):
                if file:
                    file.write(answer)
                answers.append(answer)
        self._outcome: Outcome[Answer] = Outcome.of(answers)
        if self._out and not file:
            _write_whole(self._out, self._as_json())
        return self._outcome

    def show(self, *, as_json: bool) -> None:
        """Prints the answers, or, when they are in a file, how many there are."""
        if as_json:
            click.echo(self._as_json())
        elif self._out:
            predicted, failed = len(self._outcome.predictions), len(self._outcome.failures)
            click.echo(
                f"{len(self._paths):,} images found: {predicted:,} predicted, {failed:,} failed, "
                f"{self._skipped:,} skipped as {self._out} tells of them already."
            )
            click.echo(DISCLAIMER)
        else:
            _print_table(self._predictor, self._outcome)

    def _ask(self, paths: Sequence[Path]) -> Iterator[Answer | Failure]:
        if self._pictures is None:
            yield from self._predictor.iter_predict(paths)
            return
        for explained in self._predictor.iter_explain(paths):
            if isinstance(explained, Explanation):
                self._draw(explained, self._pictures)
                yield explained.answer
            else:
                yield explained

    def _draw(self, explanation: Explanation, pictures: Path) -> None:
        from serving.picture import Meaning, draw

        predictor = self._predictor
        meaning = Meaning(self._identity, DISCLAIMER, predictor.thresholds, predictor.references)
        film = encode_image(explanation.source, explanation.source)
        picture = pictures
        if len(self._paths) > 1:
            roots = os.path.commonpath([path.absolute().parent for path in self._paths])
            name = os.path.relpath(Path(explanation.source).absolute(), roots)
            # The whole name, because a.png and a.jpeg may lie side by side.
            picture = pictures / f"{name}.png"
        try:
            picture.parent.mkdir(parents=True, exist_ok=True)
            picture.write_bytes(draw(explanation, film, meaning))
        except OSError as error:
            raise click.ClickException(f"{picture}: cannot be written: {error.strerror}") from error

    def _in_sight(
        self, answers: Iterator[Answer | Failure], total: int
    ) -> Iterator[Answer | Failure]:
        console = Console(stderr=True)
        with Progress(console=console, disable=not console.is_terminal, transient=True) as bar:
            task = bar.add_task("Predicting", total=total)
            for answer in answers:
                yield answer
                bar.advance(task)

    def _as_json(self) -> str:
        predictor, outcome = self._predictor, self._outcome
        threshold: dict[str, Any] = {"threshold": predictor.threshold}
        if any(isinstance(one, FindingsPrediction) for one in outcome.predictions):
            threshold = {"thresholds": dict(predictor.thresholds)}
        return json.dumps({"model": predictor.model, **threshold, **asdict(outcome)}, indent=2)


def _write_whole(path: Path, text: str) -> None:
    aside = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside.write_text(text, encoding="utf-8")
        aside.replace(path)
    except OSError as error:
        raise click.ClickException(f"{path}: cannot be written: {error.strerror}") from error


def _print_table(predictor: Predictor, outcome: Outcome[Answer]) -> None:
    console = Console(highlight=False)
    if outcome.predictions:
        table = Table("File", box=None, header_style="bold", pad_edge=False)
        table.columns[0].overflow = "fold"
        if isinstance(outcome.predictions[0], FindingsPrediction):
            table.add_column("Finding")
        table.add_column("Probability", justify="right")
        table.add_column("Threshold", justify="right")
        table.add_column("Decision")
        for prediction in outcome.predictions:
            if isinstance(prediction, FindingsPrediction):
                _add_findings(table, prediction, predictor.thresholds)
            else:
                _add_decision(table, prediction, predictor.threshold)
        console.print(table)
        for prediction in outcome.predictions:
            for warning in sentences(prediction.quality):
                console.print(Text(f"Warning: {prediction.source}: {warning}", style="yellow"))
    console.print(DISCLAIMER)


# Text, because the name of a file, or of a class, may hold what rich would read as markup.


def _add_decision(table: Table, prediction: Prediction, threshold: float | None) -> None:
    table.add_row(
        Text(prediction.source),
        f"{prediction.probability:.4f}",
        _number(threshold),
        Text(f"{prediction.label} ({prediction.decision})"),
    )


def _add_findings(
    table: Table, prediction: FindingsPrediction, thresholds: Mapping[str, float]
) -> None:
    for number, finding in enumerate(prediction.findings):
        table.add_row(
            Text("" if number else prediction.source),
            Text(finding.name),
            f"{finding.probability:.4f}",
            _number(thresholds.get(finding.name)),
            f"{'present' if finding.decision else 'absent'} ({finding.decision})",
            style="bold" if finding.decision else None,
        )


def _number(threshold: float | None) -> str:
    return "-" if threshold is None else f"{threshold:.4f}"
