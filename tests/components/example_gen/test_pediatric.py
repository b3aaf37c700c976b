"""Names of the pediatric set, and its folders as people really have them."""

import collections
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.example_gen import pediatric
from components.example_gen.listing import DatasetError, count_reasons
from components.example_gen.record import NORMAL, PNEUMONIA
from tests.components.example_gen.samples import encode, film, patient_numbers, write

IMAGE = encode(film(0), "JPEG")
kinds = st.sampled_from(["bacteria", "virus"])
films = st.integers(min_value=1, max_value=9_999)


@pytest.mark.parametrize(
    ("filename", "key"),
    [
        ("person12_bacteria_34.jpeg", "bacteria-12"),
        ("person12_virus_5.jpeg", "virus-12"),
        ("person1954_bacteria_4886.jpg", "bacteria-1954"),
        ("IM-0115-0001.jpeg", "IM-0115"),
        ("IM-0115-0001-0002.jpeg", "IM-0115"),
        ("NORMAL2-IM-0383-0001.jpeg", "NORMAL2-IM-0383"),
        ("NORMAL2-IM-1103-0001-0002.jpeg", "NORMAL2-IM-1103"),
        ("BACTERIA-40699-0001.jpeg", "bacteria-40699"),
        ("VIRUS-40699-0002.jpeg", "virus-40699"),
        ("NORMAL-1049278-0001.jpeg", "normal-1049278"),
        ("scan of tuesday.png", "scan of tuesday"),
    ],
)
def test_patient_key(filename: str, key: str) -> None:
    assert pediatric.patient_key(filename) == key


@given(number=patient_numbers, one=films, other=films)
def test_a_number_under_bacteria_and_virus_is_two_patients(
    number: int, one: int, other: int
) -> None:
    bacterial = pediatric.patient_key(f"person{number}_bacteria_{one}.jpeg")
    assert bacterial != pediatric.patient_key(f"person{number}_virus_{other}.jpeg")
    bacterial = pediatric.patient_key(f"BACTERIA-{number}-{one:04d}.jpeg")
    assert bacterial != pediatric.patient_key(f"VIRUS-{number}-{other:04d}.jpeg")


@given(
    form=st.sampled_from(
        [
            "person{0}_bacteria_{1}.jpeg",
            "person{0}_virus_{1}.jpeg",
            "IM-{0:04d}-{1:04d}.jpeg",
            "NORMAL2-IM-{0:04d}-{1:04d}.jpeg",
            "BACTERIA-{0}-{1:04d}.jpeg",
            "NORMAL-{0}-{1:04d}.jpeg",
        ]
    ),
    patients=st.tuples(patient_numbers, patient_numbers),
    one=films,
    other=films,
)
def test_films_share_a_key_if_and_only_if_they_are_of_one_patient(
    form: str, patients: tuple[int, int], one: int, other: int
) -> None:
    a, b = patients
    key = pediatric.patient_key(form.format(a, one))
    assert key == pediatric.patient_key(form.format(a, other))
    assert (key == pediatric.patient_key(form.format(b, other))) == (a == b)


@pytest.mark.parametrize(
    ("filename", "label", "expected"),
    [
        ("person12_bacteria_34.jpeg", PNEUMONIA, "bacteria"),
        ("person12_virus_34.jpeg", PNEUMONIA, "virus"),
        ("BACTERIA-40699-0001.jpeg", PNEUMONIA, "bacteria"),
        ("VIRUS-40699-0001.jpeg", PNEUMONIA, "virus"),
        ("IM-0115-0001.jpeg", NORMAL, "none"),
        ("NORMAL-1049278-0001.jpeg", NORMAL, "none"),
        ("scan of tuesday.png", PNEUMONIA, None),
        ("scan of tuesday.png", NORMAL, "none"),
    ],
)
def test_etiology(filename: str, label: int, expected: str | None) -> None:
    assert pediatric.etiology(filename, label) == expected


# --- Folders ---------------------------------------------------------------------------------


def test_what_the_folders_say(tmp_path: Path) -> None:
    write(tmp_path / "train/NORMAL/IM-0115-0001.jpeg", IMAGE)
    write(tmp_path / "test/PNEUMONIA/person12_virus_5.JPG", IMAGE)

    test, train = pediatric.list_files(tmp_path).files

    assert train.path == str(tmp_path / "train/NORMAL/IM-0115-0001.jpeg")
    assert (train.label, train.findings, train.etiology) == (NORMAL, ("No Finding",), "none")
    assert (train.patient_id, train.source_split) == ("pediatric:IM-0115", "train")
    assert (test.label, test.findings, test.etiology) == (PNEUMONIA, ("Pneumonia",), "virus")
    assert (test.patient_id, test.source_split) == ("pediatric:virus-12", "test")
    assert test.filename == "person12_virus_5.JPG"
    assert test.age_years is test.sex is test.view_position is test.follow_up is None


def test_everything_found_is_listed_or_left_out_with_its_reason(pediatric_root: Path) -> None:
    good = {str(path) for path in pediatric_root.rglob("*.jpeg")}
    upper_case = write(pediatric_root / "train/NORMAL/IM-7000-0001.JPEG", IMAGE)
    png = write(pediatric_root / "val/PNEUMONIA/person7001_virus_1.PNG", encode(film(1)))
    junk = {
        "not an image by its name": [
            "train/.DS_Store",
            "train/NORMAL/.DS_Store",
            "train/PNEUMONIA/Thumbs.db",
            "val/NORMAL/notes/readme.txt",
        ],
        "not in a NORMAL or PNEUMONIA folder": [
            "train/IM-7002-0001.jpeg",
            "train/normal/IM-7003-0001.jpeg",
            "test/COVID/person1_virus_1.jpeg",
            "test/NORMAL/more/IM-7004-0001.jpeg",
            "test/NORMAL/NORMAL/IM-7005-0001.jpeg",
        ],
    }
    for name in [name for names in junk.values() for name in names]:
        write(pediatric_root / name, IMAGE)
    (pediatric_root / "train/NORMAL/folder.jpeg").mkdir()

    found = pediatric.list_files(pediatric_root)

    assert {file.path for file in found.files} == good | {str(upper_case), str(png)}
    left_out = collections.defaultdict(list)
    for one in found.left_out:
        left_out[one.reason].append(os.path.relpath(one.source, pediatric_root))
    assert {reason: sorted(names) for reason, names in left_out.items()} == {
        reason: sorted(names) for reason, names in junk.items()
    }


def test_a_name_that_is_not_utf8_is_left_out(pediatric_root: Path) -> None:
    name = os.fsdecode(b"train/NORMAL/IM-\xff-0001.jpeg")
    write(pediatric_root / name, IMAGE)

    found = pediatric.list_files(pediatric_root)

    assert count_reasons(found.left_out) == {"file name is not UTF-8": 1}
    assert found.left_out[0].source.encode().endswith(rb"IM-\udcff-0001.jpeg")


@pytest.mark.parametrize("label", ["NORMAL", "PNEUMONIA"])
def test_a_class_without_images_is_named_with_its_folder(pediatric_root: Path, label: str) -> None:
    for split in ("train", "val", "test"):
        shutil.rmtree(pediatric_root / split / label, ignore_errors=True)

    with pytest.raises(DatasetError, match=f"train/{label}") as error:
        pediatric.list_files(pediatric_root)
    assert str(pediatric_root) in str(error.value)


def test_folders_without_any_image(tmp_path: Path) -> None:
    write(tmp_path / "train/NORMAL/.DS_Store", b"\0")

    with pytest.raises(DatasetError, match="holds no image") as error:
        pediatric.list_files(tmp_path)
    assert str(tmp_path) in str(error.value)
