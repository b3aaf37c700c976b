"""Tables of images and what they show, as CSV files in the many ways in which they come.

A row that cannot be used is a row of its own in the account, never the end of a run; only a table
that lacks a column as a whole is refused.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from components.example_gen.datasets.files import Place
from components.example_gen.datasets.findings import Findings, parse_findings, plain
from components.example_gen.datasets.listing import DatasetError, Fate, LeftOut
from components.example_gen.datasets.source import ColumnName
from components.example_gen.record import XrayFile

# Why a row is left out for another one.
REPEATED = "row repeats an earlier row of the table"
DISPUTED = "rows of the table that contradict each other"
# Why a row cannot be used.
MALFORMED = "row of the table that is malformed"
SEVERAL = "row of the table that fits several images"
OUTSIDE = "path in the table leads out of the data root"
# Of training, validation and test, each has one.
_FEWEST_PATIENTS = 3
_DELIMITERS = ",;\t"
# A value may have line breaks, such as that of a report; a quote that never ends is none.
_MOST_LINES = 100

# How the columns are usually called; case, spaces and punctuation do not matter.
# In the order of `Row`.
_USUAL_NAMES: Mapping[ColumnName, Sequence[str]] = {
    "image": (
        "Image Index", "image", "image path", "path", "file", "file path", "file name", "filename",
        "image name", "image id", "id", "SOPInstanceUID",
    ),
    "findings": ("Finding Labels", "findings", "finding", "labels", "label", "diagnosis", "class"),
    "patient": ("Patient ID", "patient", "subject id", "subject"),
    "age": ("Patient Age", "age", "age years"),
    "sex": ("Patient Gender", "Patient Sex", "sex", "gender"),
    "view": ("View Position", "view"),
    "follow_up": ("Follow-up #", "follow up", "visit"),
}  # fmt: skip


class Row(NamedTuple):
    """A row; what the table does not have is an empty string."""

    line: int
    image: str
    findings: str
    patient: str
    age: str
    sex: str
    view: str
    follow_up: str


def find_table(root: Place, named: str | None, usual: Sequence[str]) -> Place | None:
    """The table of a dataset: the one that was named, or the first of the usual ones.

    Raises:
      DatasetError: if the one that was named is not there.
    """
    if named is not None:
        if not (root / named).is_file():
            raise DatasetError(
                f"{root / named}: no such table; the dataset's setting table names it, below the "
                "dataset's folder"
            )
        return root / named
    return next((root / name for name in usual if (root / name).is_file()), None)


def read_table(
    path: Place, columns: Mapping[ColumnName, str], required: Sequence[ColumnName]
) -> tuple[list[Row], list[LeftOut]]:
    """Read a table of images.

    Args:
      path: the CSV file.
      columns: the table's names of columns that are not called as usual, by `Row`'s names.
      required: the columns without which it is of no use, by `Row`'s names.

    Returns:
      The rows with stripped values, and those that are malformed.

    Raises:
      DatasetError: if it cannot be read, or lacks a column.
    """
    header, records = read_csv(path)
    places = _places(path, header, columns, required)
    rows: list[Row] = []
    malformed: list[LeftOut] = []
    for line, fields in records:
        values = [fields[place] if 0 <= place < len(fields) else "" for place in places]
        if _fits(fields, header) and not any(map(_is_spoilt, values)):
            rows.append(Row(line, *values))
        else:
            malformed.append(LeftOut(f"{path}:{line}", MALFORMED, Fate.BAD_ROW))
    return rows, malformed


def read_csv(path: Place) -> tuple[list[str], Iterator[tuple[int, list[str]]]]:
    """A CSV file's header, and its rows with their line numbers; values are stripped.

    Raises:
      DatasetError: if it cannot be read.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror}. May you read it?") from error
    utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    # A byte that is no text spoils its row alone.
    text = data.decode("utf-16" if utf16 else "utf-8-sig", errors="replace")
    lines = re.split(r"\r\n|\n|\r", text)
    if "\0" in lines[0]:
        raise DatasetError(
            f"{path} is no text in UTF-8, nor in UTF-16 with a byte order mark: save it as UTF-8"
        )
    delimiter = max(_DELIMITERS, key=re.sub(r'"[^"]*"', "", lines[0]).count)
    header = _split(lines[0], delimiter)
    while header and not header[-1]:
        del header[-1]
    if not header:
        raise DatasetError(f"{path} has no header: it should be a CSV table that begins with one")
    return header, _records(lines, delimiter, header)


def match_rows(
    rows: Iterable[Row], find: Callable[[Row], str | LeftOut]
) -> tuple[dict[str, Row], list[LeftOut], set[str]]:
    """Which row is of which image.

    Args:
      rows: of the table.
      find: gives the path of a row's image, or why the row is of none.

    Returns:
      The row of each image; the account of the other rows; and the images whose rows contradict
      each other, which have none: neither row is to be believed.
    """
    matched: dict[str, Row] = {}
    left_out: list[LeftOut] = []
    disputed: set[str] = set()
    for row in rows:
        path = find(row)
        if isinstance(path, LeftOut):
            left_out.append(path)
        elif matched.setdefault(path, row) is row:
            continue
        elif _statement(matched[path]) == _statement(row):
            left_out.append(LeftOut(path, REPEATED, Fate.DUPLICATE))
        else:
            disputed.add(path)
            left_out.append(LeftOut(path, DISPUTED, Fate.BAD_ROW))
    for path in disputed:
        del matched[path]
    return matched, left_out, disputed


def patient_of(row: Row) -> str:
    """The patient as a row names it; where some rows lack it, pandas makes `13.0` of the others."""
    return re.sub(r"(?<=\d)\.0+$", "", row.patient)


def check_patients(files: Sequence[XrayFile], root: Place) -> None:
    """Refuse a set whose images are of too few patients to be divided by patient.

    Raises:
      DatasetError: if so; of fewer images than that, the division itself will say so.
    """
    patients = len({file.patient_id for file in files})
    if patients < _FEWEST_PATIENTS <= len(files):
        number = "one patient" if patients == 1 else f"{patients} patients"
        raise DatasetError(
            f"{root} holds {len(files):,} images with a label, all of {number} by what they say: "
            f"training, validation and test need {_FEWEST_PATIENTS} at the least, as no patient "
            "may be in two of them. De-identification often gives all the same number. Name the "
            "table's column that tells the patients apart in the dataset's setting "
            "columns.patient; where every image is of another patient, name the column of the "
            "images."
        )


def without_image(row: Row) -> LeftOut:
    """The account of a row whose image is not there: normal for who has a part of the set."""
    return LeftOut(row.image, "row of the table whose image is not on disk", Fate.NOT_ON_DISK)


def _statement(row: Row) -> tuple[Findings, frozenset[str], str]:
    """What two rows of an image must agree in, in whatever order they say it."""
    findings = parse_findings(row.findings)
    return findings._replace(names=(), unknown=()), frozenset(findings.names), patient_of(row)


def _places(
    path: Place,
    header: Sequence[str],
    columns: Mapping[ColumnName, str],
    required: Sequence[ColumnName],
) -> list[int]:
    """Where in the header each of `Row`'s values stands; -1 for those that it lacks."""
    there = [plain(column) for column in header]
    places = []
    for name, usual in _USUAL_NAMES.items():
        if name in columns:
            place = header.index(columns[name]) if columns[name] in header else -1
            wanted = columns[name]
        else:
            place = next((there.index(plain(one)) for one in usual if plain(one) in there), -1)
            wanted = usual[0]
        if place < 0 and (name in columns or name in required):
            raise DatasetError(_lacks(path, wanted, name, header))
        places.append(place)
    return places


def _lacks(path: Place, column: str, name: str, header: Sequence[str]) -> str:
    return (
        f"{path} lacks the column {column!r}; it has {', '.join(header[:12])}. If it is called "
        f"otherwise, say so in the dataset's setting columns.{name}."
    )


def _records(
    lines: Sequence[str], delimiter: str, header: Sequence[str]
) -> Iterator[tuple[int, list[str]]]:
    """The rows after the header; a stray quote does not swallow those that follow."""
    at = 1
    while at < len(lines):
        if not lines[at].strip():
            at += 1
            continue
        fields, taken = _quoted(lines[at : at + _MOST_LINES], delimiter, header)
        yield at + 1, fields
        at += taken


def _quoted(lines: Sequence[str], delimiter: str, header: Sequence[str]) -> tuple[list[str], int]:
    """The first row of some lines, and how many of them it takes."""
    if '"' in lines[0]:
        # Strict: more lines are one row only if they are so by quotes that are all in place.
        reader = csv.reader((f"{line}\n" for line in lines), delimiter=delimiter, strict=True)
        try:
            fields = [field.strip() for field in next(reader)]
        except csv.Error:
            fields = []
        if _fits(fields, header):
            return fields, reader.line_num
    return _split(lines[0], delimiter), 1


def _split(line: str, delimiter: str) -> list[str]:
    if '"' not in line:
        return [field.strip() for field in line.split(delimiter)]
    try:
        return [field.strip() for field in next(csv.reader([line], delimiter=delimiter))]
    except csv.Error:  # a value of more than 128 KiB
        return []


def _fits(fields: Sequence[str], header: Sequence[str]) -> bool:
    """Whether a row has the header's columns; rows may end in more commas than the header."""
    return len(fields) >= len(header) and not any(fields[len(header) :])


def _is_spoilt(value: str) -> bool:
    return any(mark in value for mark in ("\n", "\0", "\N{REPLACEMENT CHARACTER}"))
