"""Tables of images and what they show, as CSV files in the many ways in which they come.

A row that cannot be used is a row of its own in the account, never the end of a run; only a table
that lacks a column as a whole is refused.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from components.example_gen.datasets.listing import DatasetError, Fate, IgnoredValue, LeftOut
from components.example_gen.datasets.source import ColumnName
from components.example_gen.record import FINDINGS, NO_FINDING, NORMAL, PNEUMONIA, XrayFile

_OLDEST = 120
# Why a row is left out for another one.
REPEATED = "row repeats an earlier row of the table"
DISPUTED = "rows of the table that contradict each other"
# Why a row cannot be used.
MALFORMED = "row of the table that is malformed"
SEVERAL = "row of the table that fits several images"
OUTSIDE = "path in the table leads out of the data root"
_UNREADABLE = "findings that cannot be read"
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
      unreadable: whether it speaks of pneumonia in words that may deny or doubt it.
    """

    label: int | None
    names: tuple[str, ...]
    unknown: tuple[str, ...]
    contradictory: bool
    unreadable: bool = False


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
            malformed.append(LeftOut(f"{path}:{line}", MALFORMED, Fate.BAD_ROW))
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


def _statement(row: Row) -> tuple[Findings, frozenset[str], str]:
    """What two rows of an image must agree in, in whatever order they say it."""
    findings = parse_findings(row.findings)
    return findings._replace(names=(), unknown=()), frozenset(findings.names), patient_of(row)


def patient_of(row: Row) -> str:
    """The patient as a row names it; where some rows lack it, pandas makes `13.0` of the others."""
    return re.sub(r"(?<=\d)\.0+$", "", row.patient)


def parse_findings(text: str) -> Findings:
    """What a row's findings say, such as `Infiltration|Pneumonia`, `normal` or `1`.

    Pneumonia is one by its plain name, or by that of a known kind. Whatever else speaks of
    pneumonia may deny or doubt it, in more ways than can be listed: that is not read at all.
    """
    names: list[str] = []
    unknown: list[str] = []
    unreadable = False
    for listed in text.split("|"):
        parts = [part.strip() for part in re.split("[;,]", listed) if part.strip()]
        known = [_name_of(part) for part in parts]
        names += [name for name in known if name is not None]
        unknown += [part for part in parts if _exact_name(part) is None]
        unreadable |= any(
            name is None and "pneumonia" in part.lower()
            for part, name in zip(parts, known, strict=True)
        )
        # Commas also divide sentences, as in "no effusion, consolidation, pneumonia"; bars do not.
        if "Pneumonia" in known:
            strange = (part for part, name in zip(parts, known, strict=True) if name is None)
            unreadable |= any(map(_DOUBT.search, strange))
    if "Pneumonia" in names:
        unreadable |= any(map(_DOUBT.fullmatch, unknown))
    names = list(dict.fromkeys(names))
    contradictory = NO_FINDING in names and len(names) > 1
    label = None
    if unreadable:
        names = [name for name in names if name != "Pneumonia"]
    elif "Pneumonia" in names:
        label = PNEUMONIA
    elif names == [NO_FINDING] and not unknown:
        label = NORMAL
    return Findings(label, tuple(names), tuple(unknown), contradictory, unreadable)


def usable_findings(text: str, source: str) -> Findings | LeftOut:
    """What a row's findings say, or why its image is left out."""
    findings = parse_findings(text)
    if findings.contradictory:
        return LeftOut(source, "both No Finding and a finding", Fate.BAD_ROW)
    if findings.unreadable:
        return LeftOut(source, _UNREADABLE, Fate.BAD_ROW)
    if findings.label is None:
        return LeftOut(source, "other finding, neither normal nor pneumonia", Fate.OUT_OF_SCOPE)
    return findings


def parse_metadata(
    row: Row, findings: Findings, source: str
) -> tuple[Metadata, list[IgnoredValue]]:
    """What a record takes of a row, and the values that make no sense."""
    metadata = Metadata(
        parse_age(row.age), parse_sex(row.sex), parse_view(row.view), parse_count(row.follow_up)
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


def parse_view(text: str) -> str | None:
    """`PA`, `AP` or a lateral view by its usual name; any other view in capitals, to be judged.

    A view that is merely frontal may be either, which is as if nothing were said.
    """
    words = re.findall(r"[A-Z]+", text.upper())
    name = "".join(word for word in words if word not in _POSTURES)
    if not name and "FRONTAL" in words:
        return None
    return _VIEWS.get(name, text.upper()) or None


def check_patients(files: Sequence[XrayFile], root: Path) -> None:
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


# What is said of a view besides its direction.
_POSTURES = frozenset((
    "SUPINE", "PORTABLE", "MOBILE", "BEDSIDE", "ERECT", "UPRIGHT", "STANDING", "SITTING", "SEMI",
    "SEMIERECT", "SEMIUPRIGHT", "AXIAL", "FRONTAL", "CHEST", "VIEW", "PROJECTION", "XTABLE",
))  # fmt: skip
_VIEWS = {
    "PA": "PA", "POSTEROANTERIOR": "PA", "POSTERIORANTERIOR": "PA",
    "AP": "AP", "ANTEROPOSTERIOR": "AP", "ANTERIORPOSTERIOR": "AP",
    "LATERAL": "LATERAL", "LAT": "LATERAL",
    "LL": "LL", "LEFTLATERAL": "LL", "LEFTLAT": "LL", "LLATERAL": "LL", "LLAT": "LL",
    "LATERALLEFT": "LL", "RL": "RL", "RIGHTLATERAL": "RL", "RIGHTLAT": "RL", "RLATERAL": "RL",
    "RLAT": "RL", "LATERALRIGHT": "RL",
}  # fmt: skip
_PER_YEAR = {"M": 12, "W": 52, "D": 365}


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


def _exact_name(part: str) -> str | None:
    """The finding that a part is the name of; marks such as a minus or `?` make it another."""
    words = part.strip(_WRAPPING)
    return _NUMBERED.get(part) or (_CANONICAL.get(_plain(words)) if _WORDS(words) else None)


def _name_of(part: str) -> str | None:
    """The finding that a part speaks of: by its name, or as a known kind of pneumonia."""
    words = part.strip(_WRAPPING)
    if (name := _exact_name(part)) is not None or not _WORDS(words):
        return name
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", words)
    kinds = re.split(r"[ _-]+", spaced.lower())
    at_an_end = any(kind.endswith("pneumonia") for kind in (kinds[0], kinds[-1]))
    return "Pneumonia" if at_an_end and _KINDS.issuperset(kinds) else None


# Names as they come in lists that a program wrote.
_WRAPPING = "[]'\"."
_WORDS = re.compile(r"[A-Za-z0-9]+([ _-]+[A-Za-z0-9]+)*").fullmatch
_CANONICAL = {_plain(name): name for name in FINDINGS} | {"normal": NO_FINDING}
# As they stand: a `-1` means that nobody knows.
_NUMBERED = {"0": NO_FINDING, "0.0": NO_FINDING, "1": "Pneumonia", "1.0": "Pneumonia"}
_KINDS = frozenset((
    "pneumonia", "bronchopneumonia", "pleuropneumonia", "bacterial", "viral", "fungal",
    "mycoplasma", "pneumococcal", "pneumocystis", "covid", "covid19", "19", "influenza", "lobar",
    "lobular", "aspiration", "interstitial", "atypical", "typical", "community", "hospital",
    "ventilator", "acquired", "associated", "nosocomial", "necrotizing", "round", "focal",
    "multifocal", "acute", "mild", "moderate", "severe", "right", "left", "bilateral", "upper",
    "middle", "lower", "lobe",
))  # fmt: skip
# Words that deny or doubt what comes after a comma, or, alone, what stands beside them.
_DOUBT = re.compile(
    r"(?i)(?<![a-z])(no|not|non|none|nor|or|without|negative|neg|absen[tc]e?|excluded?|ruled?|"
    r"r/o|h/o|s/p|unlikely|free|clear(ed|ing)?|resol[a-z]*|history|previous|prior|old|status post|"
    r"possibl[ey]|probabl[ey]|suspect[a-z]*|suspicio[a-z]*|question[a-z]*|query|doubt[a-z]*|"
    r"may|maybe|might|could|cannot|versus|vs|den(y|ies|ied)|unknown|uncertain|false)(?![a-z])|\?"
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
