"""A CSV file of answers that grows by a line with each image, and is gone on with later."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from serving.prediction import Answer, Failure, Prediction, PredictionError

_FIRST = ("file",)
_PROBABILITY = "probability"
_LAST = ("quality", "error", "model")
# File names need not be Unicode.
_ENCODING = {"encoding": "utf-8", "errors": "surrogateescape", "newline": ""}


class ResultsFileError(PredictionError):
    """A file that cannot be gone on with; says what is to be done."""


class ResultsFile:
    """Writes one line per image; a context manager.

    The columns are `file`; then `probability`, `decision` and `label`, or, of a multi-label model,
    "NAME probability" and "NAME decision" of each finding; then `quality`, the codes of its
    warnings; `error`, why the image has no answer; and `model`.

    A file that is there already is gone on with. Its last line is dropped if it was cut off while
    it was written. As long as no image was answered, the columns are not known: then it is begun
    anew. A file that does not begin with such columns is somebody else's, and stays as it is.

    Attributes:
      done: the images that the file tells of, when it is opened.
    """

    def __init__(self, path: Path, model: str) -> None:
        """Opens the file, or makes it with its folder.

        Args:
          path: of the file.
          model: which model answers, with its version: all lines are of one.

        Raises:
          ResultsFileError: the file is of another model, or no file of answers, or cannot be
            written.
        """
        self.path = path
        self._model = model
        self._columns: list[str] = []
        # Failures whose line waits for the columns.
        self._held_back: list[Failure] = []
        self.done: frozenset[str] = frozenset()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._go_on(path)
        except OSError as error:
            raise ResultsFileError(f"{path}: cannot be written: {error.strerror}") from error

    def write(self, answer: Answer | Failure) -> None:
        """Adds an image's line, and hands it to the operating system at once."""
        if not self._columns:
            if isinstance(answer, Failure):
                self._held_back.append(answer)
                return
            self._begin([*_FIRST, *_cells(answer), *_LAST])
        self._write(answer)

    def close(self) -> None:
        """Completes the file."""
        if not self._columns:
            self._begin([*_FIRST, *_LAST])
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _go_on(self, path: Path) -> None:
        text = ""
        if path.exists():
            with path.open(**_ENCODING) as file:  # type: ignore[call-overload]
                text = file.read()
        whole = text[: _end_of_last_line(text)]
        try:
            reader = csv.DictReader(io.StringIO(whole))
            columns = list(reader.fieldnames or ())
            rows = list(reader)
        except csv.Error as error:
            raise _not_ours(path) from error
        if text and not (_is_header(columns) if whole else _is_cut_off_header(text)):
            raise _not_ours(path)
        if f",{self._model}\n" in text[len(whole) :]:
            raise ResultsFileError(
                f"{path}: a quotation mark is not closed, and whole lines follow it; mend "
                "the file, or choose another one"
            )
        others = {row["model"] for row in rows} - {self._model}
        if others:
            raise ResultsFileError(
                f"{path}: predicted by {', '.join(sorted(map(str, others)))}, not by "
                f"{self._model}; choose another file, or move this one away"
            )
        is_begun = len(columns) > len(_FIRST) + len(_LAST)
        if is_begun:
            self._columns = columns
            self.done = frozenset(row["file"] for row in rows)
            os.truncate(path, len(whole.encode("utf-8", "surrogateescape")))
        self._file = path.open("a" if is_begun else "w", **_ENCODING)  # type: ignore[call-overload]
        self._lines = csv.writer(self._file, lineterminator="\n")

    def _begin(self, columns: list[str]) -> None:
        self._columns = columns
        self._lines.writerow(columns)
        for failure in self._held_back:
            self._write(failure)

    def _write(self, answer: Answer | Failure) -> None:
        cells = {"file": answer.source, "model": self._model}
        if isinstance(answer, Failure):
            cells["error"] = answer.reason
        else:
            cells |= {"quality": ",".join(answer.quality), **_cells(answer)}
        self._lines.writerow(cells.get(column, "") for column in self._columns)
        self._file.flush()


def _not_ours(path: Path) -> ResultsFileError:
    return ResultsFileError(f"{path}: not a file of predictions; choose another one")


def _is_header(columns: Sequence[str]) -> bool:
    return (columns[: len(_FIRST)], columns[-len(_LAST) :]) == ([*_FIRST], [*_LAST])


def _is_cut_off_header(text: str) -> bool:
    """Whether a text without a whole line can be the beginning of a header, and nothing else."""
    first, comma, rest = text.partition(",")
    if (first,) != _FIRST or not comma or len(text.splitlines()) > 1 or text.endswith("\r"):
        return False
    second, comma, _ = rest.partition(",")
    if not comma:
        return any(name.startswith(second) for name in (_PROBABILITY, _LAST[0]))
    return second in (_PROBABILITY, _LAST[0]) or second.endswith(f" {_PROBABILITY}")


def _cells(answer: Answer) -> Mapping[str, str]:
    if isinstance(answer, Prediction):
        return {
            _PROBABILITY: _number(answer.probability),
            "decision": str(answer.decision),
            "label": answer.label,
        }
    cells = {}
    for finding in answer.findings:
        cells[f"{finding.name} {_PROBABILITY}"] = _number(finding.probability)
        cells[f"{finding.name} decision"] = str(finding.decision)
    return cells


def _number(probability: float) -> str:
    # The fewest digits that are this float32 again.
    return f"{probability:.9g}"


def _end_of_last_line(text: str) -> int:
    """Where the last whole line ends; a line break within quotes ends none."""
    end = position = 0
    is_quoted = False
    for line in text.splitlines(keepends=True):
        position += len(line)
        is_quoted ^= line.count('"') % 2 == 1
        if line.endswith("\n") and not is_quoted:
            end = position
    return end
