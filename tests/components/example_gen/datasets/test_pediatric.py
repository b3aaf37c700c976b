"""Names of the pediatric set, and its folders as people really have them."""

import collections
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.example_gen.datasets import pediatric
from components.example_gen.datasets.listing import DatasetError, Fate, Listing, count_reasons
from components.example_gen.datasets.source import Source
from components.example_gen.record import NORMAL, PNEUMONIA
from tests.components.example_gen.samples import encode, film, patient_numbers, write

IMAGE = encode(film(0), "JPEG")
kinds = st.sampled_from(["bacteria", "virus"])
films = st.integers(min_value=1, max_value=9_999)


def list_files(root: Path) -> Listing:
    return pediatric.list_files(root, Source())


@pytest.mark.parametrize(
    ("filename", "key"),
    [
        ("person12_bacteria_34.jpeg", "bacteria-12"),
        ("person12_virus_5.jpeg", "virus-12"),
        ("person1954_bacteria_4886.jpg", "bacteria-1954"),
        ("person447_virus_921_1.jpeg", "virus-447"),
        ("IM-0115-0001.jpeg", "IM-0115"),
        ("IM-0115-0001-0002.jpeg", "IM-0115"),
        ("NORMAL2-IM-0383-0001.jpeg", "NORMAL2-IM-0383"),
        ("NORMAL2-IM-1103-0001-0002.jpeg", "NORMAL2-IM-1103"),
        ("BACTERIA-40699-0001.jpeg", "bacteria-40699"),
        ("VIRUS-40699-0002.jpeg", "virus-40699"),
        ("NORMAL-1049278-0001.jpeg", "normal-1049278"),
        ("scan of tuesday.png", "scan of tuesday"),
        ("person12_fungus_34.jpeg", "person12_fungus_34"),
        ("xperson12_virus_5.jpeg", "xperson12_virus_5"),
        ("person12_virus_5 (1).jpeg", "person12_virus_5 (1)"),
        ("IM-0115.jpeg", "IM-0115"),
        (".jpeg", ".jpeg"),
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
            "IM-{0:04d}-{1:04d}-0001.jpeg",
            "BACTERIA-{0}-{1:04d}.jpeg",
            "VIRUS-{0}-{1:04d}.jpeg",
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
        # In the other class's folder: the folder is believed, and the name says no cause.
        ("NORMAL-1049278-0001.jpeg", PNEUMONIA, None),
        ("IM-0115-0001.jpeg", PNEUMONIA, None),
        ("person12_virus_34.jpeg", NORMAL, "none"),
    ],
)
def test_etiology(filename: str, label: int, expected: str | None) -> None:
    assert pediatric.etiology(filename, label) == expected


@given(
    one=st.sampled_from(["bacteria-{}", "virus-{}", "normal-{}", "IM-{:04d}", "NORMAL2-IM-{:04d}"]),
    other=st.sampled_from(
        ["bacteria-{}", "virus-{}", "normal-{}", "IM-{:04d}", "NORMAL2-IM-{:04d}"]
    ),
    number=patient_numbers,
)
def test_no_two_kinds_of_name_share_a_key(one: str, other: str, number: int) -> None:
    names = {
        "bacteria-{}": "person{}_bacteria_1.jpeg",
        "virus-{}": "VIRUS-{}-0001.jpeg",
        "normal-{}": "NORMAL-{}-0001.jpeg",
        "IM-{:04d}": "IM-{:04d}-0001.jpeg",
        "NORMAL2-IM-{:04d}": "NORMAL2-IM-{:04d}-0001.jpeg",
    }
    keys = [pediatric.patient_key(names[kind].format(number)) for kind in (one, other)]
    assert keys == [one.format(number), other.format(number)]
    assert (keys[0] == keys[1]) == (one == other)


@given(
    st.text(st.characters(exclude_characters="/\0", codec="utf-8"), min_size=1).filter(
        lambda name: name != "."  # which no file is called
    )
)
def test_any_name_has_a_key(name: str) -> None:
    assert pediatric.patient_key(name)
    assert pediatric.etiology(name, PNEUMONIA) in ("bacteria", "virus", None)


# --- Folders ---------------------------------------------------------------------------------


def test_what_the_folders_say(tmp_path: Path) -> None:
    write(tmp_path / "train/NORMAL/IM-0115-0001.jpeg", IMAGE)
    write(tmp_path / "test/PNEUMONIA/person12_virus_5.JPG", IMAGE)

    train, test = list_files(tmp_path).files

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

    found = list_files(pediatric_root)

    assert {file.path for file in found.files} == good | {str(upper_case), str(png)}
    assert {one.fate for one in found.left_out} == {Fate.OUT_OF_SCOPE}
    left_out = collections.defaultdict(list)
    for one in found.left_out:
        left_out[one.reason].append(os.path.relpath(one.source, pediatric_root))
    assert {reason: sorted(names) for reason, names in left_out.items()} == {
        reason: sorted(names) for reason, names in junk.items()
    }


def test_a_name_that_is_not_utf8_is_left_out(pediatric_root: Path) -> None:
    name = os.fsdecode(b"train/NORMAL/IM-\xff-0001.jpeg")
    write(pediatric_root / name, IMAGE)

    found = list_files(pediatric_root)

    assert count_reasons(found.left_out) == {"file name is not UTF-8": 1}
    assert found.left_out[0].source.encode().endswith(rb"IM-\udcff-0001.jpeg")
    assert found.left_out[0].fate == Fate.QUARANTINED


def test_links_and_loops(pediatric_root: Path, tmp_path: Path) -> None:
    before = list_files(pediatric_root).read
    write(tmp_path / "elsewhere/IM-7006-0001.jpeg", IMAGE)
    shutil.rmtree(pediatric_root / "val/NORMAL", ignore_errors=True)
    (pediatric_root / "val/NORMAL").symlink_to(tmp_path / "elsewhere")
    (pediatric_root / "train/NORMAL/again").symlink_to(pediatric_root / "train")
    (pediatric_root / "train/NORMAL/broken.jpeg").symlink_to("nowhere.jpeg")

    found = list_files(pediatric_root)

    linked = pediatric_root / "val/NORMAL/IM-7006-0001.jpeg"
    assert str(linked) in {file.path for file in found.files}
    assert [(Path(one.source).name, one.reason, one.fate) for one in found.left_out] == [
        ("broken.jpeg", "not a file, or a link that leads nowhere", Fate.QUARANTINED)
    ]
    assert found.read == before + 2


@pytest.mark.parametrize("suffix", [".tif", ".TIFF", ".bmp", ".Gif", ".webp", ".JPG"])
def test_images_of_every_format_that_is_read(pediatric_root: Path, suffix: str) -> None:
    path = write(pediatric_root / f"train/NORMAL/IM-7007-0001{suffix}", IMAGE)
    found = list_files(pediatric_root)
    assert str(path) in {file.path for file in found.files}
    assert not found.left_out


def test_mendeleys_layout_has_no_validation_folder(tmp_path: Path) -> None:
    for name in (
        "train/NORMAL/NORMAL-28501-0001.jpeg",
        "train/PNEUMONIA/BACTERIA-40699-0001.jpeg",
        "test/PNEUMONIA/VIRUS-40699-0002.jpeg",
    ):
        write(tmp_path / name, IMAGE)

    assert pediatric.is_root(tmp_path, Source())
    found = [
        (file.source_split, file.patient_id, file.label, file.etiology)
        for file in list_files(tmp_path).files
    ]

    assert found == [
        ("train", "pediatric:normal-28501", NORMAL, "none"),
        ("train", "pediatric:bacteria-40699", PNEUMONIA, "bacteria"),
        ("test", "pediatric:virus-40699", PNEUMONIA, "virus"),
    ]


@pytest.mark.parametrize("settings", [{"table": "labels.csv"}, {"columns": {"image": "path"}}])
def test_a_table_is_refused(pediatric_root: Path, settings: dict[str, object]) -> None:
    with pytest.raises(DatasetError, match="takes neither table nor columns"):
        pediatric.list_files(pediatric_root, Source.model_validate(settings))


@pytest.mark.parametrize("label", ["NORMAL", "PNEUMONIA"])
def test_a_class_without_images_is_named_with_its_folder(pediatric_root: Path, label: str) -> None:
    for split in ("train", "val", "test"):
        shutil.rmtree(pediatric_root / split / label, ignore_errors=True)

    with pytest.raises(DatasetError, match=f"train/{label}") as error:
        list_files(pediatric_root)
    assert str(pediatric_root) in str(error.value)


def test_folders_without_any_image(tmp_path: Path) -> None:
    write(tmp_path / "train/NORMAL/.DS_Store", b"\0")

    with pytest.raises(DatasetError, match="holds no image") as error:
        list_files(tmp_path)
    assert str(tmp_path) in str(error.value)
