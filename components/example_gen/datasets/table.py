"""Tables of images and what they show, as CSV files in the many ways in which they come.

A row that cannot be used is a row of its own in the account, never the end of a run; only a table
that lacks a column as a whole is refused.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from components.example_gen.datasets.listing import DatasetError, Fate, IgnoredValue, LeftOut
from components.example_gen.datasets.source import ColumnName
from components.example_gen.record import FINDINGS, NO_FINDING, NORMAL, PNEUMONIA

_OLDEST = 120
# Why a row is left out for another one.
REPEATED = "row repeats an earlier row of the table"
DISPUTED = "rows of the table that contradict each other"
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


class Metadata(NamedTuple):
    """What a record takes of a row besides its findings; None for what it lacks."""

    age_years: int | None
    sex: str | None
    view_position: str | None
    follow_up: int | None


class Findings(NamedTuple):
    """What a row says of an image.

    Attributes:
      label: 0 normal, 1 pneumonia, none for other findings.
      names: out of `record.FINDINGS`.
      unknown: the names that are not among them.
      contradictory: whether `No Finding` stands beside a finding.
    """

    label: int | None
    names: tuple[str, ...]
    unknown: tuple[str, ...]
    contradictory: bool


def find_table(root: Path, named: str | None, usual: Sequence[str]) -> Path | None:
    """The table of a dataset: the one that was named, or the first of the usual ones.

    Raises:
      DatasetError: if the one that was named is not there.
    """
    if named is not None:
        if not (root / named).is_file():
            raise DatasetError(f"{root / named}: no such table")
        return root / named
    return next((root / name for name in usual if (root / name).is_file()), None)


def read_table(
    path: Path, columns: Mapping[ColumnName, str], required: Sequence[ColumnName]
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
            malformed.append(LeftOut(f"{path}:{line}", "row of the table that is malformed"))
    return rows, malformed


def read_csv(path: Path) -> tuple[list[str], Iterator[tuple[int, list[str]]]]:
    """A CSV file's header, and its rows with their line numbers; values are stripped.

    Raises:
      DatasetError: if it cannot be read.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror}") from error
    utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    # A byte that is no text spoils its row alone.
    text = data.decode("utf-16" if utf16 else "utf-8-sig", errors="replace")
    lines = re.split(r"\r\n|\n|\r", text)
    if "\0" in lines[0]:
        raise DatasetError(f"{path} is no text in UTF-8, nor in UTF-16 with a byte order mark")
    delimiter = max(_DELIMITERS, key=re.sub(r'"[^"]*"', "", lines[0]).count)
    header = _split(lines[0], delimiter)
    while header and not header[-1]:
        del header[-1]
    if not header:
        raise DatasetError(f"{path} has no header: it should be a CSV table that begins with one")
    return header, _records(lines, delimiter, header)


def parse_findings(text: str) -> Findings:
    """What a row's findings say, such as `Infiltration|Pneumonia`, `normal` or `1`."""
    names: list[str] = []
    unknown: list[str] = []
    for part in filter(None, (part.strip() for part in re.split(r"[|;,]", text))):
        name = _NUMBERED.get(part) or _CANONICAL.get(_plain(part))
        if name is None:
            unknown.append(part)
            # Bacterial pneumonia is one; "no pneumonia" is not.
            if "pneumonia" in part.lower() and not _NEGATED.search(part):
                name = "Pneumonia"
        if name is not None and name not in names:
            names.append(name)
    contradictory = NO_FINDING in names and len(names) > 1
    label = None
    if "Pneumonia" in names:
        label = PNEUMONIA
    elif names == [NO_FINDING] and not unknown:
        label = NORMAL
    return Findings(label, tuple(names), tuple(unknown), contradictory)


def usable_findings(text: str, source: str) -> Findings | LeftOut:
    """What a row's findings say, or why its image is left out."""
    findings = parse_findings(text)
    if findings.contradictory:
        return LeftOut(source, "both No Finding and a finding")
    if findings.label is None:
        return LeftOut(source, "other finding, neither normal nor pneumonia", Fate.OUT_OF_SCOPE)
    return findings


def parse_metadata(
    row: Row, findings: Findings, source: str
) -> tuple[Metadata, list[IgnoredValue]]:
    """What a record takes of a row, and the values that make no sense."""
    metadata = Metadata(
        parse_age(row.age), parse_sex(row.sex), row.view.upper() or None, parse_count(row.follow_up)
    )
    texts = {"age_years": row.age, "sex": row.sex, "follow_up": row.follow_up}
    ignored = [
        IgnoredValue(source, field, text)
        for field, text in texts.items()
        if text and getattr(metadata, field) is None
    ]
    ignored += [IgnoredValue(source, "findings", name) for name in findings.unknown]
    return metadata, ignored


def parse_age(text: str) -> int | None:
    """Whole years from `57`, `57.0`, `057Y` or `007M`; None for what is no age of a person."""
    match = re.fullmatch(r"(\d{1,6})(?:\.0*)?\s*([YMWD]?)", text.upper())
    if not match:
        return None
    years = int(match[1]) if match[2] in ("", "Y") else int(match[1]) // _PER_YEAR[match[2]]
    return years if years <= _OLDEST else None


def parse_count(text: str) -> int | None:
    """A whole number from `3` or `3.0`, as it comes from columns with gaps; or None."""
    match = re.fullmatch(r"(\d{1,6})(?:\.0*)?", text)
    return int(match[1]) if match else None


def parse_sex(text: str) -> str | None:
    """`F` or `M`, or None."""
    return {"f": "F", "female": "F", "m": "M", "male": "M"}.get(text.lower())


def without_image(row: Row) -> LeftOut:
    """The account of a row whose image is not there: normal for who has a part of the set."""
    return LeftOut(row.image, "row of the table whose image is not on disk", Fate.NOT_ON_DISK)


_PER_YEAR = {"M": 12, "W": 52, "D": 365}


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


_CANONICAL = {_plain(name): name for name in FINDINGS} | {"normal": NO_FINDING}
# As they stand: a `-1` means that nobody knows.
_NUMBERED = {"0": NO_FINDING, "0.0": NO_FINDING, "1": "Pneumonia", "1.0": "Pneumonia"}
_NEGATED = re.compile(
    r"(?i)(?<![a-z])(no|not|non|without|negative|absent|excluded|ruled?|unlikely|free)(?![a-z])"
    r"|(?<![a-z])(no|not|non)[^a-z]*pneumonia"
)


def _places(
    path: Path,
    header: Sequence[str],
    columns: Mapping[ColumnName, str],
    required: Sequence[ColumnName],
) -> list[int]:
    """Where in the header each of `Row`'s values stands; -1 for those that it lacks."""
    plain = [_plain(column) for column in header]
    places = []
    for name, usual in _USUAL_NAMES.items():
        if name in columns:
            place = header.index(columns[name]) if columns[name] in header else -1
            wanted = columns[name]
        else:
            place = next((plain.index(_plain(one)) for one in usual if _plain(one) in plain), -1)
            wanted = usual[0]
        if place < 0 and (name in columns or name in required):
            raise DatasetError(_lacks(path, wanted, name, header))
        places.append(place)
    return places


def _lacks(path: Path, column: str, name: str, header: Sequence[str]) -> str:
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
