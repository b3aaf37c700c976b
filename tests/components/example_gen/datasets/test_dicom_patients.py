"""Whose a DICOM film is, and that nothing of the patient is copied."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from components.example_gen.datasets.listing import DatasetError
from tests.components.example_gen.datasets.dicom_listings import (
    a_film,
    list_films,
    named,
)

# pytest puts its own filters in the place of the module's.
pytestmark = pytest.mark.filterwarnings("ignore:::pydicom")


def patients(root: Path, **headers: Mapping[str, Any]) -> dict[str, str]:
    # Two more, as a set of one or two patients is refused.
    headers = {**headers, "x": {"PatientID": "X"}, "y": {"PatientID": "Y"}}
    films = {f"NORMAL/{name}.dcm": a_film(**header) for name, header in headers.items()}
    found = {named(file)[:-4]: file.patient_id for file in list_films(root, films).files}
    return {name: patient for name, patient in found.items() if name not in ("x", "y")}


def test_a_patient_keeps_one_pseudonym(tmp_path: Path) -> None:
    found = patients(
        tmp_path,
        a={"PatientID": "7"},
        b={"PatientID": "7", "StudyInstanceUID": "1.2.3"},
        other={"PatientID": "8"},
        elsewhere={"PatientID": "7", "IssuerOfPatientID": "Another hospital"},
    )
    assert found["a"] == found["b"]
    assert len(set(found.values())) == 3
    assert patients(tmp_path / "moved", a={"PatientID": "7"})["a"] == found["a"]


def test_without_a_number_the_study_is_the_patient(tmp_path: Path) -> None:
    found = patients(
        tmp_path,
        a={"PatientID": "", "StudyInstanceUID": "1.2.3"},
        b={"PatientID": None, "StudyInstanceUID": "1.2.3"},
        c={"PatientID": "", "StudyInstanceUID": "1.2.4"},
        number={"PatientID": "1.2.3"},
    )
    assert found["a"] == found["b"]
    assert len(set(found.values())) == 3


def test_without_either_each_film_is_a_patient(tmp_path: Path) -> None:
    found = patients(tmp_path, a={"PatientID": None}, b={"PatientID": None})
    assert found["a"] != found["b"]


def test_a_film_without_a_number_is_of_its_studys_patient(tmp_path: Path) -> None:
    found = patients(
        tmp_path,
        a={"PatientID": "7", "StudyInstanceUID": "1.2.3"},
        b={"PatientID": "", "StudyInstanceUID": "1.2.3"},
        c={"PatientID": "8", "StudyInstanceUID": "1.2.4"},
        d={"PatientID": "9", "StudyInstanceUID": "1.2.4"},
        e={"PatientID": "", "StudyInstanceUID": "1.2.4"},
    )
    assert found["a"] == found["b"]
    # Of the second study nobody knows which of the two it is.
    assert len({found[name] for name in "acde"}) == 4


def test_a_patient_of_the_table_is_one_whatever_the_headers_say(tmp_path: Path) -> None:
    films = {
        "a.dcm": a_film(PatientID="7", IssuerOfPatientID="Here"),
        "b.dcm": a_film(PatientID="7", IssuerOfPatientID="There"),
        "c.dcm": a_film(PatientID="ANON-1"),
        "d.dcm": a_film(PatientID=""),
        "e.dcm": a_film(PatientID="7"),
        "NORMAL/f.dcm": a_film(PatientID="", StudyInstanceUID="1.2.3"),
        "g.dcm": a_film(PatientID="ANON-2", StudyInstanceUID="1.2.3"),
        "x.dcm": a_film(),
        "y.dcm": a_film(),
    }
    rows = [f"{name},normal,7" for name in "abcde"] + ["g,normal,7.0", "x,1,8", "y,1,9"]
    found = list_films(tmp_path, films, *rows, header="image,findings,patient")
    of = {named(file)[0]: file.patient_id for file in found.files}
    assert len({of[name] for name in "abcdefg"}) == 1
    assert len(set(of.values())) == 3


@pytest.mark.parametrize("numbers", [["ANONYMOUS"] * 4, ["1", "2", "1", "2"]])
def test_too_few_patients_to_divide(tmp_path: Path, numbers: list[str]) -> None:
    films = {f"NORMAL/{n}.dcm": a_film(PatientID=number) for n, number in enumerate(numbers)}
    with pytest.raises(DatasetError, match="4 images with a label, all of") as error:
        list_films(tmp_path, films)
    assert "columns.patient" in str(error.value)


def test_nothing_of_a_patient_is_copied(tmp_path: Path) -> None:
    secrets = {
        "PatientName": "Doe^Jane",
        "PatientID": "SECRET-123",
        "OtherPatientIDs": "SECRET-456",
        "PatientBirthDate": "19510203",
        "InstitutionName": "St. Elsewhere",
        "AccessionNumber": "A-778899",
        "StudyDate": "20200917",
        "StudyInstanceUID": "1.2.77777",
        "SOPInstanceUID": "1.2.840.99999.1",
        "ReferringPhysicianName": "Who^Doctor",
    }
    films = {
        "NORMAL/DOE_JANE_19510203.dcm": a_film(**secrets),
        "NORMAL/1.2.840.99999.1": a_film(**secrets),
        "NORMAL/odd/film.dcm": a_film(**secrets | {"SOPInstanceUID": "1.2.840.99999.2"}),
        "mass/film.dcm": a_film(**secrets | {"SOPInstanceUID": "1.2.840.99999.3"}),
        "NORMAL/x.dcm": a_film(),
        "NORMAL/y.dcm": a_film(),
    }
    rows = ["1.2.840.99999.2,normal,412", "1.2.840.99999.3,Mass,7", "1.2.840.99999.3,Mass,7"]
    found = list_films(tmp_path, films, *rows, header="image,findings,age")
    assert len(found.files) == 5
    # A path is for the operator's eyes alone, and goes into no Example.
    paths = {str(tmp_path / name) for name in films}
    records = [dataclasses.replace(file, path="") for file in found.files]
    assert {file.path for file in found.files} <= paths
    assert {one.source for one in (*found.left_out, *found.ignored)} <= paths
    values = [(one.reason, one.fate) for one in found.left_out]
    for secret in (*secrets.values(), "DOE", "JANE", "99999"):
        assert secret not in repr((records, values, found.ignored and found.ignored[0].value))


def test_a_films_name_is_a_pseudonym_that_stays(tmp_path: Path) -> None:
    films = {"NORMAL/DOE.dcm": a_film(), "PNEUMONIA/DOE.dcm": a_film()}
    names = [file.filename for file in list_films(tmp_path / "a", films).files]
    assert all(re.fullmatch(r"[0-9a-f]{16}\.dcm", name) for name in names)
    assert len(set(names)) == 2
    assert names == [file.filename for file in list_films(tmp_path / "b", films).files]
