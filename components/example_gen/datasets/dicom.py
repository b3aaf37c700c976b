"""A folder of DICOM films, as an archive exports them, labelled by a table or by folders.

What is left out of the record is as much part of the mapping as what is taken: no name, date,
number or institution of the header is copied. The patient's number and the film's own name, which
may be the patient's, become pseudonyms; what these are worth, `pseudonym` says. What is burnt into
the pixels stays.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import PurePath

from components.example_gen.datasets import table
from components.example_gen.datasets.files import (
    ImageIndex,
    OutsideError,
    Place,
    SeveralError,
    below,
    for_each,
    not_read,
    opened,
    place,
    unusable,
    walk,
)
from components.example_gen.datasets.findings import Findings, usable_findings
from components.example_gen.datasets.listing import (
    DatasetError,
    Fate,
    IgnoredValue,
    LeftOut,
    Listing,
)
from components.example_gen.datasets.metadata import parse_metadata
from components.example_gen.datasets.pseudonym import pseudonym
from components.example_gen.datasets.source import Source
from components.example_gen.record import (
    FINDINGS,
    NO_FINDING,
    NORMAL,
    PNEUMONIA,
    Labels,
    XrayFile,
    finding_labels,
)

NAME = "dicom"
FOLDERS = ("dicom", "DICOM")
VOCABULARY = FINDINGS

_TABLES = ("labels.csv", "dicom_labels.csv")
_SUFFIXES = frozenset({".dcm", ".dicom", ".ima"})
_DIRECTORY = "DICOMDIR"
_LABELS = {"NORMAL": NORMAL, "PNEUMONIA": PNEUMONIA}
_FINDINGS = {NORMAL: (NO_FINDING,), PNEUMONIA: ("Pneumonia",)}
_FOLDER_ALONE = "labelled by its folder, which tells of pneumonia alone"

# All that is read of a header.
_TAGS = (
    "SOPInstanceUID",
    "StudyInstanceUID",
    "PatientID",
    "IssuerOfPatientID",
    "PatientSex",
    "PatientAge",
    "ViewPosition",
    "PatientPosition",
    "Modality",
    "BodyPartExamined",
)
# PS3.3 C.7.3.1.1.2: how a patient lies in a scanner. Some public sets have a film's view there.
_POSITIONS = frozenset((
    "HFP", "HFS", "HFDR", "HFDL", "FFP", "FFS", "FFDR", "FFDL",
    "LFP", "LFS", "RFP", "RFS", "AFDR", "AFDL", "PFDR", "PFDL",
))  # fmt: skip

_NO_ROW = table.Row._make((0, *[""] * (len(table.Row._fields) - 1)))

Header = Mapping[str, str]
# The kind of what a film is known to belong to, and its numbers.
Identity = tuple[str, ...]


def is_root(folder: Place, source: Source) -> bool:
    """Whether a folder holds the set: DICOM files, at any depth.

    A data root holds other sets too: where it has a usual folder of this one, that is meant,
    unless the table lies above it, as beside the DICOMDIR of an exported disc.
    """
    is_above = folder.resolve().name not in FOLDERS and any(
        (folder / usual).is_dir() for usual in FOLDERS
    )
    has_table = source.table is not None and (folder / source.table).is_file()
    return (has_table or not is_above) and any(_is_film(path) for path in walk(folder))


def list_files(root: Place, source: Source, labels: Labels = "pneumonia") -> Listing:
    """Every film that the table or its folder labels; a folder tells of pneumonia alone.

    Raises:
      DatasetError: if there is none, or the table cannot be read.
    """
    path_of_table = table.find_table(root, source.table, _TABLES)
    films, left_out = _films(root, path_of_table)
    rows: dict[str, table.Row] = {}
    disputed: set[str] = set()
    if path_of_table:
        listed, malformed = table.read_table(
            path_of_table, source.columns, required=("image", "findings")
        )
        images = ImageIndex(root, films)
        called = _called(root, films)
        rows, unmatched, disputed = table.match_rows(listed, lambda row: _find(row, images, called))
        left_out += malformed + unmatched
    identities = _identities(root, films, rows)
    files: list[XrayFile] = []
    ignored: list[IgnoredValue] = []
    for path, header in films.items():
        if header is None:
            continue
        if path in disputed:
            left_out.append(LeftOut(path, table.DISPUTED, Fate.BAD_ROW))
            continue
        row = rows.get(path)
        findings = _findings(path, root, row, labels)
        if isinstance(findings, LeftOut):
            left_out.append(findings)
        else:
            patient = pseudonym(*identities[path])
            file, unused = _file(path, root, header, row or _NO_ROW, findings, patient)
            labelled = finding_labels(findings.names, labels)
            files.append(dataclasses.replace(file, finding_labels=labelled))
            ignored += unused
    if not files:
        raise DatasetError(_nothing(root, path_of_table, len(films)))
    table.check_patients(files, root)
    tables = (path_of_table,) if path_of_table else ()
    return Listing(NAME, tuple(files), tuple(left_out), tuple(ignored), tables)


def _nothing(root: Place, path_of_table: Place | None, films: int) -> str:
    by_table = (
        f"{path_of_table} labels none of them No Finding or Pneumonia"
        if path_of_table
        else f"there is no table {root / _TABLES[0]}"
    )
    return (
        f"{root} holds {films:,} DICOM files, but no film with a label: {by_table}, and none is "
        "in a folder NORMAL or PNEUMONIA. A table has a row for each film, with the columns "
        "image (its path, name or SOP Instance UID) and findings; the dataset's settings table "
        "and columns tell if it is called otherwise. With data.labels=findings, any of the 14 "
        "findings is a label, and folders are none."
    )


# --- The files -------------------------------------------------------------------------------


def _films(root: Place, labels: Place | None) -> tuple[dict[str, Header | None], list[LeftOut]]:
    """The headers of the DICOM files, None where one cannot be read, and what is no film."""
    films: dict[str, Header | None] = {}
    left_out: list[LeftOut] = []
    paths = [path for path in walk(root) if not (labels and place(path) == labels)]
    for path, (is_film, found) in zip(paths, for_each(_examine, root, paths), strict=True):
        if is_film:
            films[path] = None if isinstance(found, LeftOut) else found
        if isinstance(found, LeftOut):
            left_out.append(found)
    return films, left_out


def _examine(path: str) -> tuple[bool, Header | LeftOut]:
    """Whether a file is one of DICOM's; and its header, or why that is of no use."""
    no_film = unusable(path) or _no_film(path)
    return no_film is None, no_film or _read_header(path)


def _is_film(path: str) -> bool:
    return unusable(path) is None and _no_film(path) is None


def _no_film(path: str) -> LeftOut | None:
    """The account of a file that is none of DICOM's by its name, or, without one, its content."""
    name = PurePath(path).name
    suffix = PurePath(path).suffix.lower()
    if name.upper() == _DIRECTORY:
        return LeftOut(path, "DICOMDIR, a table of contents", Fate.OUT_OF_SCOPE)
    if suffix in _SUFFIXES:
        return None
    # Archives call files by their UID, whose last number is no suffix.
    if (suffix and not suffix[1:].isdecimal()) or not _has_magic(path):
        return LeftOut(path, "not a DICOM file by its name", Fate.OUT_OF_SCOPE)
    return None


def _has_magic(path: str) -> bool:
    # Imported here and below: it takes a second, which a check of settings need not wait for.
    from serving.dicom_image import is_dicom

    try:
        with opened(path) as file:
            return is_dicom(file.read(132))
    except OSError as error:
        not_read(path, error)
        return False


def _read_header(path: str) -> Header | LeftOut:
    from serving.dicom_image import DicomError, read_header

    try:
        with opened(path) as file:
            return read_header(file, _TAGS)
    except DicomError as error:
        return LeftOut(path, str(error))
    except OSError as error:
        return not_read(path, error)


# --- The table -------------------------------------------------------------------------------


def _called(root: Place, films: Mapping[str, Header | None]) -> list[dict[str, list[str]]]:
    """What a table may call a film, the most certain kind of name first, and which bear it."""
    kinds: list[dict[str, list[str]]] = [{}, {}, {}, {}]
    for path, header in films.items():
        pure = PurePath(path)
        instance = header["SOPInstanceUID"] if header else ""
        names = (below(path, root), pure.name, pure.stem, instance)
        for kind, name in zip(kinds, names, strict=True):
            kind.setdefault(name, []).append(path)
    return kinds


def _find(
    row: table.Row, images: ImageIndex, called: Iterable[Mapping[str, list[str]]]
) -> str | LeftOut:
    if not row.image:
        return LeftOut(f"line {row.line}", table.MALFORMED, Fate.BAD_ROW)
    paths: list[str] = next((kind[row.image] for kind in called if row.image in kind), [])
    try:
        if len(paths) > 1:
            # Numbered films are called the same in every folder.
            raise SeveralError(row.image)
        path = paths[0] if paths else images.find(row.image)
    except OutsideError:
        return LeftOut(row.image, table.OUTSIDE, Fate.BAD_ROW)
    except SeveralError:
        return LeftOut(row.image, table.SEVERAL, Fate.BAD_ROW)
    return path or table.without_image(row)


# --- The record ------------------------------------------------------------------------------


def _findings(path: str, root: Place, row: table.Row | None, labels: Labels) -> Findings | LeftOut:
    """What the table says of a film, or else the nearest folder with a label, or why nothing."""
    if row is None:
        for folder in reversed(PurePath(below(path, root)).parts[:-1]):
            label = _LABELS.get(folder.upper())
            if label is not None and labels == "findings":
                return LeftOut(path, _FOLDER_ALONE, Fate.OUT_OF_SCOPE)
            if label is not None:
                return Findings(label, _FINDINGS[label], (), False)
        return LeftOut(path, "no label", Fate.OUT_OF_SCOPE)
    return usable_findings(row.findings, path, labels)


def _file(
    path: str,
    root: Place,
    header: Header,
    row: table.Row,
    findings: Findings,
    patient: str,
) -> tuple[XrayFile, list[IgnoredValue]]:
    """The record, and the values that could not be used.

    What the table says of a film wins over its header, where de-identification leaves its marks.
    """
    row = row._replace(
        age=row.age or header["PatientAge"],
        sex=row.sex or header["PatientSex"],
        view=row.view or _view(header),
    )
    metadata, ignored = parse_metadata(row, findings, path)
    assert findings.label is not None
    file = XrayFile(
        path=path,
        dataset=NAME,
        filename=f"{pseudonym('file', below(path, root), digest_size=8)}.dcm",
        patient_id=f"{NAME}:{patient}",
        label=findings.label,
        findings=findings.names,
        modality=header["Modality"].upper() or None,
        body_part=header["BodyPartExamined"].upper() or None,
        **metadata._asdict(),
    )
    return file, ignored


def _view(header: Header) -> str:
    position = header["PatientPosition"].upper()
    return header["ViewPosition"] or ("" if position in _POSITIONS else position)


# --- The patients ----------------------------------------------------------------------------


def _identities(
    root: Place, films: Mapping[str, Header | None], rows: Mapping[str, table.Row]
) -> dict[str, Identity]:
    """Whose each film is, by the table alone where that names a patient.

    Otherwise by the header; or by the other films of its study, which is one patient's; or by the
    study; or else each film is a patient of its own.
    """
    headers = {path: header for path, header in films.items() if header is not None}
    named = {path: patient for path, row in rows.items() if (patient := table.patient_of(row))}
    # What the table calls as the header does is the same patient where the table has no row.
    same = {
        _number(headers[path])
        for path, patient in named.items()
        if path in headers and headers[path]["PatientID"] == patient
    }
    found: dict[str, Identity] = {}
    for path, header in headers.items():
        if path in named:
            found[path] = ("patient", "", named[path])
        elif header["PatientID"]:
            issuer, patient = _number(header)
            found[path] = ("patient", "" if (issuer, patient) in same else issuer, patient)
    of_study: dict[str, set[Identity]] = {}
    for path, identity in found.items():
        of_study.setdefault(headers[path]["StudyInstanceUID"], set()).add(identity)
    for path, header in headers.items():
        study = header["StudyInstanceUID"]
        if path in found:
            continue
        if not study:
            found[path] = ("film", below(path, root))
        elif len(of_study.get(study, ())) == 1:
            (found[path],) = of_study[study]
        else:
            found[path] = ("study", study)
    return found


def _number(header: Header) -> tuple[str, str]:
    return header["IssuerOfPatientID"], header["PatientID"]
