"""Folders of DICOM films as they are found in the field."""

from __future__ import annotations

import io
import os
import tracemalloc
from pathlib import Path

import pydicom
import pytest
from pydicom import uid

from components.example_gen.datasets import dicom
from components.example_gen.datasets.listing import DatasetError, Fate, IgnoredValue
from components.example_gen.datasets.source import Source
from components.example_gen.record import NORMAL, PNEUMONIA, XrayFile
from tests.components.example_gen import dicom_samples as dicoms
from tests.components.example_gen.datasets.dicom_listings import (
    FILM,
    SOURCE,
    a_film,
    left_out,
    list_films,
    named,
    only_file,
    write_table,
)
from tests.components.example_gen.samples import encode, film, write

# pytest puts its own filters in the place of the module's.
pytestmark = pytest.mark.filterwarnings("ignore:::pydicom")


# --- The header ------------------------------------------------------------------------------


def test_what_a_header_says(tmp_path: Path) -> None:
    file = only_file(tmp_path)
    assert file == XrayFile(
        path=str(tmp_path / "NORMAL/a.dcm"),
        dataset="dicom",
        filename=file.filename,
        patient_id=file.patient_id,
        label=NORMAL,
        findings=("No Finding",),
        age_years=60,
        sex="F",
        view_position="PA",
        modality="DX",
        body_part="CHEST",
    )


@pytest.mark.parametrize(
    ("text", "years"),
    [("060Y", 60), ("62", 62), ("007M", 0), ("030M", 2), ("003W", 0), ("412Y", None), (None, None)],
)
def test_ages(tmp_path: Path, text: str | None, years: int | None) -> None:
    assert only_file(tmp_path, PatientAge=text).age_years == years


@pytest.mark.parametrize(("text", "sex"), [("F", "F"), ("M", "M"), ("O", None), (None, None)])
def test_sexes(tmp_path: Path, text: str | None, sex: str | None) -> None:
    assert only_file(tmp_path, PatientSex=text).sex == sex


@pytest.mark.parametrize(
    ("view", "position", "expected"),
    [
        ("PA", None, "PA"),
        ("ap", None, "AP"),
        ("LL", "HFS", "LL"),
        (None, "PA", "PA"),
        ("", "xx", "XX"),
        (None, "HFS", None),
        ("", "FFDR", None),
        (None, None, None),
    ],
)
def test_views(
    tmp_path: Path, view: str | None, position: str | None, expected: str | None
) -> None:
    file = only_file(tmp_path, ViewPosition=view, PatientPosition=position)
    assert file.view_position == expected


def test_modality_and_body_part_are_not_judged(tmp_path: Path) -> None:
    file = only_file(tmp_path, Modality="CT", BodyPartExamined="ribcage")
    assert (file.modality, file.body_part) == ("CT", "RIBCAGE")
    file = only_file(tmp_path, Modality=None, BodyPartExamined="")
    assert (file.modality, file.body_part) == (None, None)


def test_spoilt_text_is_as_absent(tmp_path: Path) -> None:
    data = a_film().replace(b"CHEST ", b"CHE\nST")
    (file,) = list_films(tmp_path, {"NORMAL/a.dcm": data}).files
    assert file.body_part is None


def test_values_that_cannot_be_used_are_told(tmp_path: Path) -> None:
    found = list_films(tmp_path, {"NORMAL/a.dcm": a_film(PatientAge="412Y", PatientSex="O")})
    path = str(tmp_path / "NORMAL/a.dcm")
    assert found.ignored == (
        IgnoredValue(path, "age_years", "412Y"),
        IgnoredValue(path, "sex", "O"),
    )


@pytest.mark.parametrize("syntax", [uid.ImplicitVRLittleEndian, uid.DeflatedExplicitVRLittleEndian])
def test_headers_of_every_syntax(tmp_path: Path, syntax: str) -> None:
    data = dicoms.to_bytes(dicoms.dataset(FILM), syntax)
    (file,) = list_films(tmp_path, {"NORMAL/a.dcm": data}).files
    assert (file.age_years, file.sex, file.view_position) == (60, "F", "PA")


def test_the_pixels_are_not_read(tmp_path: Path) -> None:
    large = dicoms.dicom(dicoms.film(height=2000, width=2000), 12)
    write(tmp_path / "NORMAL/a.dcm", large)
    dicom.list_files(tmp_path, SOURCE)
    tracemalloc.start()
    try:
        dicom.list_files(tmp_path, SOURCE)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < len(large) / 4


# --- Labels ----------------------------------------------------------------------------------


def test_labels_of_folders(tmp_path: Path) -> None:
    films = {
        "NORMAL/a.dcm": a_film(),
        "train/pneumonia/patient/series/b.dcm": a_film(),
        "PNEUMONIA/NORMAL/c.dcm": a_film(),
        "NORMALS/d.dcm": a_film(),
        "e.dcm": a_film(StudyDescription="Pneumonia"),
    }
    found = list_films(tmp_path, films)
    assert {named(file): (file.label, file.findings) for file in found.files} == {
        "a.dcm": (NORMAL, ("No Finding",)),
        "b.dcm": (PNEUMONIA, ("Pneumonia",)),
        "c.dcm": (NORMAL, ("No Finding",)),
    }
    no_label = ("no label", Fate.OUT_OF_SCOPE)
    assert left_out(found) == {"d.dcm": no_label, "e.dcm": no_label}


def test_a_folder_above_the_root_is_no_label(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no film with a label"):
        list_films(tmp_path / "NORMAL", {"a.dcm": a_film()})


@pytest.mark.parametrize(
    "name",
    [
        "sub/a.dcm",
        "./sub/a.dcm",
        "sub\\a.dcm",
        "a.dcm",
        "a",
        "1.2.3.4",
        "{root}/sub/a.dcm",
    ],
)
def test_how_a_table_may_call_a_film(tmp_path: Path, name: str) -> None:
    films = {"sub/a.dcm": a_film(SOPInstanceUID="1.2.3.4"), "b.dcm": a_film()}
    found = list_films(tmp_path, films, f"{name.format(root=tmp_path)},Infiltration|Pneumonia")
    (file,) = found.files
    assert (named(file), file.label) == ("a.dcm", PNEUMONIA)
    assert file.findings == ("Infiltration", "Pneumonia")
    assert found.tables == (tmp_path / "labels.csv",)
    assert left_out(found) == {"b.dcm": ("no label", Fate.OUT_OF_SCOPE)}


def test_the_table_wins_over_folder_and_header(tmp_path: Path) -> None:
    found = list_films(
        tmp_path,
        {"NORMAL/a.dcm": a_film(PatientID="ANON"), "NORMAL/b.dcm": a_film(PatientID="ANON")},
        "a,Pneumonia,p1,44,M,ap,3",
        header="image,findings,patient,age,sex,view,follow_up",
    )
    a, b = found.files
    assert (a.label, b.label) == (PNEUMONIA, NORMAL)
    assert (a.age_years, a.sex, a.view_position, a.follow_up) == (44, "M", "AP", 3)
    assert (b.age_years, b.sex, b.view_position, b.follow_up) == (60, "F", "PA", None)
    assert a.patient_id != b.patient_id


def test_a_patient_in_table_and_header_is_one(tmp_path: Path) -> None:
    header = {"PatientID": "7", "IssuerOfPatientID": "Here"}
    found = list_films(
        tmp_path,
        {"NORMAL/a.dcm": a_film(**header), "NORMAL/b.dcm": a_film(**header)},
        "a,normal,7",
        header="image,findings,patient",
    )
    a, b = found.files
    assert a.patient_id == b.patient_id


def test_rows_that_are_of_no_use(tmp_path: Path) -> None:
    films = {
        "one/IM1.dcm": a_film(),
        "two/IM1.dcm": a_film(),
        "fine.dcm": a_film(),
        "mass.dcm": a_film(),
        "both.dcm": a_film(),
        "broken.dcm": b"",
        "torn.dcm": a_film(),
    }
    found = list_films(
        tmp_path,
        films,
        "fine.dcm,normal",
        "fine,normal",
        "gone.dcm,normal",
        "IM1,normal",
        "../../etc/passwd,normal",
        "mass.dcm,Mass",
        "both.dcm,No Finding|Mass",
        "broken.dcm,normal",
        ",normal",
        "torn.dcm,normal",
        "torn.dcm,Pneumonia",
    )
    assert [(named(file), file.label) for file in found.files] == [("fine.dcm", NORMAL)]
    assert left_out(found) == {
        "fine.dcm": ("row repeats an earlier row of the table", Fate.DUPLICATE),
        "gone.dcm": ("row of the table whose image is not on disk", Fate.NOT_ON_DISK),
        "IM1": ("row of the table that fits several images", Fate.BAD_ROW),
        "IM1.dcm": ("no label", Fate.OUT_OF_SCOPE),
        "passwd": ("path in the table leads out of the data root", Fate.BAD_ROW),
        "mass.dcm": ("other finding, neither normal nor pneumonia", Fate.OUT_OF_SCOPE),
        "both.dcm": ("both No Finding and a finding", Fate.BAD_ROW),
        "broken.dcm": ("file is not a DICOM file", Fate.QUARANTINED),
        "line 10": ("row of the table that is malformed", Fate.BAD_ROW),
        "torn.dcm": ("rows of the table that contradict each other", Fate.BAD_ROW),
    }
    # Two numbered films of one name; of the last, the film and its second row.
    assert len(found.left_out) == 12


def test_numbered_films_are_told_apart_by_their_paths(tmp_path: Path) -> None:
    found = list_films(
        tmp_path,
        {"IM1.dcm": a_film(), "one/IM1.dcm": a_film(), "two/IM1.dcm": a_film()},
        "IM1.dcm,normal",
        "two/IM1.dcm,Pneumonia",
    )
    labels = {os.path.relpath(file.path, tmp_path): file.label for file in found.files}
    assert labels == {"IM1.dcm": NORMAL, "two/IM1.dcm": PNEUMONIA}


def test_a_name_is_more_certain_than_a_uid(tmp_path: Path) -> None:
    """Copies of a film bear its UID, and one of them its name."""
    films = {f"{name}.dcm": a_film(SOPInstanceUID="1.2.3") for name in ("1.2.3", "copy")}
    found = list_films(tmp_path, films, "1.2.3,normal")
    assert [named(file) for file in found.files] == ["1.2.3.dcm"]


def test_a_table_of_another_name_with_other_columns(tmp_path: Path) -> None:
    write(tmp_path / "a.dcm", a_film())
    write(tmp_path / "truth.csv", b"ImageId,Target\na,1\n")
    source = Source(table="truth.csv", columns={"image": "ImageId", "findings": "Target"})
    (file,) = dicom.list_files(tmp_path, source).files
    assert file.label == PNEUMONIA


def test_a_folder_does_not_tell_all_findings(tmp_path: Path) -> None:
    for name in ("PNEUMONIA/a.dcm", "mass.dcm"):
        write(tmp_path / name, a_film())
    write_table(tmp_path, "mass.dcm,Mass")
    found = dicom.list_files(tmp_path, SOURCE, "findings")
    assert [named(file) for file in found.files] == ["mass.dcm"]
    assert [(one.reason, one.fate) for one in found.left_out] == [
        ("labelled by its folder, which tells of pneumonia alone", Fate.OUT_OF_SCOPE)
    ]


# --- Files -----------------------------------------------------------------------------------


def test_which_files_are_films(tmp_path: Path) -> None:
    films = {
        "NORMAL/a.dcm": a_film(),
        "NORMAL/b.DCM": a_film(),
        "NORMAL/c.dicom": a_film(),
        "NORMAL/d.IMA": a_film(),
        "NORMAL/bare": a_film(),
        "NORMAL/1.2.840.113619.5": a_film(),
    }
    others = {
        "DICOMDIR": a_film(),
        "NORMAL/readme.txt": b"Hello",
        "NORMAL/film.png": encode(film(0)),
        "NORMAL/notes": b"no magic",
        "NORMAL/1.2.3": b"",
        "NORMAL/cut.dcm": a_film()[:100],
        "NORMAL/empty.dcm": b"",
    }
    found = list_films(tmp_path, films | others)
    assert {named(file) for file in found.files} == {Path(name).name for name in films}
    by_name = ("not a DICOM file by its name", Fate.OUT_OF_SCOPE)
    not_dicom = ("file is not a DICOM file", Fate.QUARANTINED)
    assert left_out(found) == {
        "DICOMDIR": ("DICOMDIR, a table of contents", Fate.OUT_OF_SCOPE),
        "readme.txt": by_name,
        "film.png": by_name,
        "notes": by_name,
        "1.2.3": by_name,
        "cut.dcm": not_dicom,
        "empty.dcm": not_dicom,
    }


def test_a_damaged_header(tmp_path: Path) -> None:
    data = a_film()
    made = pydicom.dcmread(io.BytesIO(data))
    made.file_meta.TransferSyntaxUID = uid.DeflatedExplicitVRLittleEndian
    cut = dicoms.to_bytes(made, uid.DeflatedExplicitVRLittleEndian)[:-30]
    found = list_films(tmp_path, {"NORMAL/a.dcm": data, "NORMAL/b.dcm": cut})
    assert [named(file) for file in found.files] == ["a.dcm"]
    assert left_out(found) == {"b.dcm": ("image data is damaged or cut short", Fate.QUARANTINED)}


def test_links(tmp_path: Path) -> None:
    root = tmp_path / "films"
    write(root / "NORMAL/a.dcm", a_film())
    write(tmp_path / "elsewhere/PNEUMONIA/b.dcm", a_film())
    (root / "linked").symlink_to(tmp_path / "elsewhere")
    (root / "NORMAL/loop").symlink_to(root)
    (root / "NORMAL/broken.dcm").symlink_to(root / "nowhere")
    found = dicom.list_files(root, SOURCE)
    assert [named(file) for file in found.files] == ["a.dcm", "b.dcm"]
    assert left_out(found) == {
        "broken.dcm": ("not a file, or a link that leads nowhere", Fate.QUARANTINED)
    }


def test_without_anything_usable_it_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"there is no table .*labels.csv.*NORMAL or PNEUMONIA"):
        list_films(tmp_path, {"a.dcm": a_film()})
    with pytest.raises(DatasetError, match=r"2 DICOM files.*labels.csv labels none of them"):
        list_films(tmp_path, {"b.dcm": a_film()}, "a.dcm,Mass")


# --- The root --------------------------------------------------------------------------------


def test_roots(tmp_path: Path) -> None:
    assert not dicom.is_root(tmp_path, SOURCE)
    assert not dicom.is_root(tmp_path / "nowhere", SOURCE)
    write(tmp_path / "chest_xray/train/NORMAL/a.jpeg", encode(film(0), "JPEG"))
    assert not dicom.is_root(tmp_path, SOURCE)
    write(tmp_path / "exported/patient/study/film", a_film())
    assert dicom.is_root(tmp_path / "exported", SOURCE)
    assert dicom.is_root(tmp_path, SOURCE)


def test_a_data_root_with_the_usual_folder_is_not_the_set(tmp_path: Path) -> None:
    write(tmp_path / "dicom/a.dcm", a_film())
    assert not dicom.is_root(tmp_path, SOURCE)
    assert dicom.is_root(tmp_path / "dicom", SOURCE)


def test_an_exported_disc(tmp_path: Path) -> None:
    """A DICOMDIR, the films in a folder DICOM, and the user's table beside it."""
    write(tmp_path / "dicom/DICOMDIR", a_film())
    write(tmp_path / "dicom/DICOM/IM1", a_film())
    assert dicom.is_root(tmp_path / "dicom", SOURCE)
    assert not dicom.is_root(tmp_path, SOURCE)
    write(tmp_path / "truth.csv", b"image,findings\nIM1,normal\n")
    assert dicom.is_root(tmp_path, Source(table="truth.csv"))


def test_the_builder(tmp_path: Path) -> None:
    found = dicom.list_files(dicoms.write_dicom(tmp_path, 8), SOURCE)
    assert len(found.files) == 8
    assert {file.label for file in found.files} == {NORMAL, PNEUMONIA}
    assert len({file.patient_id for file in found.files}) == 4
    assert not found.left_out
