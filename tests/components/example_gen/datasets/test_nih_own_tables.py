"""Images in a table of one's own, which is read as NIH's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from components.example_gen.datasets import nih, registry
from components.example_gen.datasets.listing import (
    IMAGE_SUFFIXES,
    DatasetError,
)
from components.example_gen.datasets.pseudonym import pseudonym
from components.example_gen.datasets.source import Source
from components.example_gen.images import imaging
from components.example_gen.record import NORMAL, PNEUMONIA
from tests.components.example_gen.datasets.nih_listings import (
    IMAGE,
    ROWS,
    list_files,
)
from tests.components.example_gen.samples import (
    encode,
    film,
    write,
    write_nih_table,
)


def test_a_plain_table_with_the_usual_names(tmp_path: Path) -> None:
    for name in ("films/a.png", "films/b.jpg", "c.jpeg", "d.jpeg"):
        write(tmp_path / name, IMAGE)
    rows = "films/a.png,normal,p1\nb.jpg,Pneumonia,p2\nc.jpeg,1,p2\nd.jpeg,0,p3\n"
    write(tmp_path / "labeled_images.csv", f"path,label,patient\n{rows}".encode())

    assert nih.is_root(tmp_path, Source())
    found = list_files(tmp_path)

    assert [(file.filename, file.label) for file in found.files] == [
        ("a.png", NORMAL),
        ("b.jpg", PNEUMONIA),
        ("c.jpeg", PNEUMONIA),
        ("d.jpeg", NORMAL),
    ]
    a, b, c, d = [file.patient_id for file in found.files]
    assert b == c
    assert len({a, b, d}) == 3
    assert not found.left_out


def test_the_patients_of_an_own_table_become_pseudonyms(tmp_path: Path) -> None:
    write(tmp_path / "a.png", IMAGE)
    write(tmp_path / "labels.csv", b"image,findings,patient\na.png,normal,MRN-778899\n")
    (file,) = list_files(tmp_path).files
    assert "MRN-778899" not in repr(file)
    assert re.fullmatch(r"nih:[0-9a-f]{32}", file.patient_id)


def test_images_of_every_format_that_is_read(tmp_path: Path) -> None:
    formats = {
        "a.tif": "TIFF", "b.TIFF": "TIFF", "c.bmp": "BMP", "d.GIF": "GIF", "e.webp": "WEBP",
        "f.JPG": "JPEG", "g.jpe": "JPEG", "h.jfif": "JPEG", "i.PNG": "PNG", "j.jpeg": "JPEG",
    }  # fmt: skip
    assert {Path(name).suffix.lower() for name in formats} == set(IMAGE_SUFFIXES)
    for name, image_format in formats.items():
        write(tmp_path / name, encode(film(0), image_format))
    rows = "".join(f"{name},normal,{name}\n" for name in formats)
    write(tmp_path / "labels.csv", f"image,findings,patient\n{rows}".encode())
    found = list_files(tmp_path)
    assert not found.left_out
    assert [file.filename for file in found.files] == list(formats)
    for file in found.files:
        _, facts = imaging.read_image(Path(file.path).read_bytes())
        assert facts.format == formats[file.filename]


def test_a_table_that_any_set_may_have_is_nihs_with_images_alone(tmp_path: Path) -> None:
    write(tmp_path / "labels.csv", b"image,findings\na,normal\n")
    write(tmp_path / "films/a.dcm", b"")
    assert not nih.is_root(tmp_path, Source())
    assert nih.is_root(tmp_path, Source(table="labels.csv"))
    write(tmp_path / "films/a.TIF", b"")
    assert nih.is_root(tmp_path, Source())


@pytest.mark.parametrize(
    ("patients", "words"), [("1 1 1", "one patient"), ("1 2 1 2", "2 patients")]
)
def test_too_few_patients_to_divide(tmp_path: Path, patients: str, words: str) -> None:
    rows = []
    for number, patient in enumerate(patients.split()):
        write(tmp_path / f"{number}.png", IMAGE)
        rows.append(f"{number}.png,normal,{patient}\n")
    write(tmp_path / "labels.csv", f"image,findings,patient\n{''.join(rows)}".encode())
    with pytest.raises(DatasetError, match=words) as error:
        list_files(tmp_path)
    assert "columns.patient" in str(error.value)
    assert len(list_files(tmp_path, columns={"patient": "image"}).files) == len(rows)


def test_a_plain_table_with_configured_names(tmp_path: Path) -> None:
    write(tmp_path / "a.png", IMAGE)
    data = b"Datei;Befund;Fall;Alter\na.png;Infiltration|Pneumonia;77;31\n"
    write(tmp_path / "befunde.csv", data)
    columns = {"image": "Datei", "findings": "Befund", "patient": "Fall", "age": "Alter"}
    settings = {"table": "befunde.csv", "columns": columns}

    assert nih.is_root(tmp_path, Source.model_validate(settings))
    assert not nih.is_root(tmp_path, Source())
    (file,) = list_files(tmp_path, **settings).files

    assert (file.label, file.age_years) == (PNEUMONIA, 31)
    assert file.patient_id == f"nih:{pseudonym('patient', '', '77')}"


def test_nihs_own_names_carry_the_patient(tmp_path: Path) -> None:
    for name in ("00000013_005.png", "00000013_006.png"):
        write(tmp_path / "images" / name, IMAGE)
    data = b"image,findings,patient\nimages/00000013_005.png,normal,\n00000013_006.png,1,13.0\n"
    write(tmp_path / "labels.csv", data)
    # The second row is as pandas writes a column of numbers with a gap.
    thirteen = f"nih:{pseudonym('patient', '', '13')}"
    assert [file.patient_id for file in list_files(tmp_path).files] == [thirteen, thirteen]


def test_without_patients_a_table_is_refused_with_the_remedy(tmp_path: Path) -> None:
    write(tmp_path / "a.png", IMAGE)
    write(tmp_path / "labels.csv", b"image,findings\na.png,normal\n")
    with pytest.raises(DatasetError, match="1 row of the table without a patient") as error:
        list_files(tmp_path)
    assert "columns.patient" in str(error.value)

    found = list_files(tmp_path, columns={"patient": "image"})
    assert [file.filename for file in found.files] == ["a.png"]


def test_a_table_that_was_named_but_is_not_there(tmp_path: Path) -> None:
    write_nih_table(tmp_path, ROWS)
    with pytest.raises(DatasetError, match=r"mine\.csv: no such table"):
        list_files(tmp_path, table="mine.csv")
    with pytest.raises(DatasetError, match=r"with its table mine\.csv"):
        registry.find_root("nih", tmp_path, Source(table="mine.csv"))
