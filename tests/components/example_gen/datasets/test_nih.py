"""The NIH table with the quirks that it has in the field."""

from __future__ import annotations

import collections
import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.example_gen.datasets import nih
from components.example_gen.datasets.listing import (
    DatasetError,
    Fate,
    IgnoredValue,
)
from components.example_gen.datasets.source import Source
from components.example_gen.record import NORMAL, PNEUMONIA, XrayFile
from tests.components.example_gen.datasets.nih_listings import (
    IMAGE,
    ROWS,
    fates,
    left_out,
    list_files,
    list_rows,
    only_file,
)
from tests.components.example_gen.samples import (
    NIH_HEADER,
    NIH_TABLE,
    encode,
    film,
    nih_row,
    write,
    write_nih_table,
)

# --- Rows ------------------------------------------------------------------------------------


def test_what_a_row_says(tmp_path: Path) -> None:
    row = "00000013_005.png,Effusion|Pneumonia,5,13,60,M,AP,3056,2544,0.139,0.139"

    file = only_file(tmp_path, row)

    assert file == XrayFile(
        path=str(tmp_path / "images/00000013_005.png"),
        dataset="nih",
        filename="00000013_005.png",
        patient_id="nih:13",
        label=PNEUMONIA,
        findings=("Effusion", "Pneumonia"),
        age_years=60,
        sex="M",
        view_position="AP",
        follow_up=5,
    )


@pytest.mark.parametrize(
    ("findings", "label"),
    [
        ("No Finding", NORMAL),
        ("Pneumonia", PNEUMONIA),
        ("Infiltration|Pneumonia", PNEUMONIA),
        ("Atelectasis|Pneumonia|Effusion", PNEUMONIA),
    ],
)
def test_labels(tmp_path: Path, findings: str, label: int) -> None:
    file = only_file(tmp_path, nih_row("a.png", findings=findings))
    assert file.label == label
    assert file.findings == tuple(findings.split("|"))


@pytest.mark.parametrize(
    "findings", ["Infiltration", "Mass|Nodule", "Pneumothorax", "", "no effusion", "Broken rib"]
)
def test_other_findings_are_out_of_scope(tmp_path: Path, findings: str) -> None:
    found = list_rows(tmp_path, nih_row("a.png"), nih_row("b.png", findings=findings))
    assert [file.filename for file in found.files] == ["a.png"]
    assert left_out(found) == {"b.png": "other finding, neither normal nor pneumonia"}
    assert fates(found) == {"out of scope": 1}


def test_pneumonia_that_is_denied_or_doubted_is_a_bad_row(tmp_path: Path) -> None:
    texts = ("no pneumonia", "Pneumonia?", "r/o pneumonia", "no consolidation; nor pneumonia")
    rows = [nih_row(f"{number}.png", findings=text) for number, text in enumerate(texts)]
    found = list_rows(tmp_path, nih_row("a.png"), *rows)
    assert [file.filename for file in found.files] == ["a.png"]
    assert set(left_out(found).values()) == {"findings that cannot be read"}
    assert fates(found) == {"bad row": len(texts)}


def test_no_finding_beside_a_finding_is_a_bad_row(tmp_path: Path) -> None:
    row = nih_row("b.png", findings="No Finding|Pneumonia")
    found = list_rows(tmp_path, nih_row("a.png"), row)
    assert left_out(found) == {"b.png": "both No Finding and a finding"}
    assert fates(found) == {"bad row": 1}


def test_a_finding_of_another_name_is_noted_and_the_image_kept(tmp_path: Path) -> None:
    found = list_rows(tmp_path, nih_row("a.png", findings="Bacterial Pneumonia|Edema"))
    (file,) = found.files
    assert (file.label, file.findings) == (PNEUMONIA, ("Pneumonia", "Edema"))
    assert found.ignored == (IgnoredValue(file.path, "findings", "Bacterial Pneumonia"),)


def test_metadata_that_cannot_be_used_is_noted_and_the_image_kept(tmp_path: Path) -> None:
    row = nih_row("a.png", age="412", sex="U", visit="-1")
    found = list_rows(tmp_path, row, nih_row("b.png", age="060Y", sex="female", visit="3.0"))
    bad, good = found.files
    assert bad.age_years is bad.sex is bad.follow_up is None
    assert (good.age_years, good.sex, good.follow_up) == (60, "F", 3)
    assert set(found.ignored) == {
        IgnoredValue(bad.path, "age_years", "412"),
        IgnoredValue(bad.path, "sex", "U"),
        IgnoredValue(bad.path, "follow_up", "-1"),
    }
    assert not found.left_out


def test_metadata_that_is_absent_is_not_noted(tmp_path: Path) -> None:
    found = list_rows(tmp_path, nih_row("a.png", age="", sex="", visit=""))
    assert found.files[0].age_years is found.files[0].sex is found.files[0].follow_up is None
    assert not found.ignored


@pytest.mark.parametrize("visit", ["9" * 30, "9" * 5_000])
def test_a_number_too_large_for_an_example_is_noted(tmp_path: Path, visit: str) -> None:
    found = list_rows(tmp_path, nih_row("a.png", visit=visit, age=visit))
    assert [one.field for one in found.ignored] == ["age_years", "follow_up"]


@pytest.mark.parametrize(("view", "expected"), [("PA", "PA"), ("ap", "AP"), ("", None)])
def test_views(tmp_path: Path, view: str, expected: str | None) -> None:
    file = only_file(tmp_path, nih_row("a.png").replace(",PA,", f",{view},"))
    assert file.view_position == expected


@given(fields=st.lists(st.text("0123456789YMD²x |-", max_size=5), min_size=5, max_size=5))
def test_no_row_stops_the_listing(
    tmp_path_factory: pytest.TempPathFactory, fields: list[str]
) -> None:
    root = tmp_path_factory.getbasetemp() / "any_row"
    names = ("findings", "visit", "patient", "age", "sex")
    odd = nih_row("odd.png", **dict(zip(names, fields, strict=True)))

    found = list_rows(root, nih_row("sound.png"), odd)

    assert found.files[0].filename == "sound.png"
    assert found.read == 2


def test_rows_that_contradict_each_other_say_nothing_of_their_image(tmp_path: Path) -> None:
    for name in ("a.png", "b.png", "c.png"):
        write(tmp_path / "images" / name, IMAGE)
    write_nih_table(
        tmp_path,
        [
            nih_row("a.png"),
            nih_row("b.png"),
            nih_row("a.png", findings="Pneumonia"),
            nih_row("c.png", findings="Mass"),
            nih_row("c.png", findings="Pneumonia"),
        ],
    )
    found = list_files(tmp_path)
    assert [file.filename for file in found.files] == ["b.png"]
    reasons = collections.Counter(one.reason for one in found.left_out)
    assert reasons == {"rows of the table that contradict each other": 4}
    assert fates(found) == {"bad row": 4}
    assert found.read == 5


def test_rows_that_say_the_same_in_another_order_are_one(tmp_path: Path) -> None:
    write(tmp_path / "images/a.png", IMAGE)
    rows = [nih_row("a.png", findings=text) for text in ("Pneumonia|Edema", "Edema|Pneumonia")]
    write_nih_table(tmp_path, rows)
    found = list_files(tmp_path)
    assert [file.findings for file in found.files] == [("Pneumonia", "Edema")]
    assert fates(found) == {"duplicate": 1}


def test_rows_of_two_patients_say_nothing_of_their_image(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        write(tmp_path / "images" / name, IMAGE)
    rows = [nih_row("a.png", patient=1), nih_row("b.png"), nih_row("a.png", patient=2)]
    write_nih_table(tmp_path, rows)
    found = list_files(tmp_path)
    assert [file.filename for file in found.files] == ["b.png"]
    assert left_out(found) == {"a.png": "rows of the table that contradict each other"}
    assert fates(found) == {"bad row": 2}


def test_rows_and_images_that_do_not_match(tmp_path: Path) -> None:
    write(tmp_path / "images/without_row.png", IMAGE)
    write(tmp_path / "images/a.png", IMAGE)
    write(tmp_path / "images/b.png", IMAGE)
    write_nih_table(
        tmp_path,
        [
            nih_row("a.png", patient=1),
            nih_row("a.png", patient=1),
            nih_row("b.png", patient=""),
            nih_row("without_image.png"),
        ],
    )

    found = list_files(tmp_path)

    assert [(file.filename, file.patient_id) for file in found.files] == [("a.png", "nih:1")]
    assert left_out(found) == {
        "a.png": "row repeats an earlier row of the table",
        "b.png": "row of the table without a patient",
        "without_image.png": "row of the table whose image is not on disk",
        "without_row.png": "image on disk without a row in the table",
    }
    assert fates(found) == {
        "duplicate": 1, "bad row": 1, "not on disk": 1, "out of scope": 1
    }  # fmt: skip
    # Each image and each row once: two of the five are one image and its row.
    assert found.read == 5


def test_an_image_that_is_named_in_several_ways_is_one_image(tmp_path: Path) -> None:
    names = (
        "a.png",
        "images/a.png",
        "./images//a.png",
        "images\\a.png",
        str(tmp_path / "images/a.png"),
    )
    write(tmp_path / "images/a.png", IMAGE)
    write_nih_table(tmp_path, [nih_row(name) for name in names])
    found = list_files(tmp_path)
    assert [file.path for file in found.files] == [str(tmp_path / "images/a.png")]
    assert fates(found) == {"duplicate": 4}


def test_a_malformed_row_is_bad_and_its_image_has_no_row(tmp_path: Path) -> None:
    for name in ("a.png", "b.png", "c.png"):
        write(tmp_path / "images" / name, IMAGE)
    rows = [nih_row("a.png"), "b.png,No Finding", nih_row("c.png"), nih_row("")]
    path = write_nih_table(tmp_path, rows)
    found = list_files(tmp_path)
    assert [file.filename for file in found.files] == ["a.png", "c.png"]
    assert {one.source: one.reason for one in found.left_out} == {
        f"{path}:3": "row of the table that is malformed",
        "line 5": "row of the table that is malformed",
        str(tmp_path / "images/b.png"): "image on disk without a row in the table",
    }


@pytest.mark.parametrize(
    "name",
    ["../secret.png", "images/../../secret.png", "/etc/secret.png", "..\\secret.png"],
)
def test_a_row_that_leads_out_of_the_root_is_bad(tmp_path: Path, name: str) -> None:
    root = tmp_path / "nih"
    write(tmp_path / "secret.png", IMAGE)
    write(root / "images/a.png", IMAGE)
    write_nih_table(root, [nih_row("a.png"), nih_row(name, findings="Pneumonia")])
    found = list_files(root)
    assert [file.filename for file in found.files] == ["a.png"]
    assert [(one.source, one.reason) for one in found.left_out] == [
        (name, "path in the table leads out of the data root")
    ]
    assert fates(found) == {"bad row": 1}


def test_links_loops_and_odd_names_among_the_images(tmp_path: Path) -> None:
    images = tmp_path / "images"
    for name in ("a.png", "deep/b.png", "film.png/c.png", os.fsdecode(b"\xff.png")):
        write(images / name, IMAGE)
    write(images / "Thumbs.db", b"no image by its name")
    (images / "deep/up").symlink_to(images)
    (images / "broken.png").symlink_to("nowhere.png")
    write(tmp_path / "elsewhere/d.png", IMAGE)
    (images / "linked").symlink_to(tmp_path / "elsewhere")
    write_nih_table(tmp_path, [nih_row(f"{name}.png") for name in ("a", "b", "c", "d", "broken")])

    found = list_files(tmp_path)

    assert [file.filename for file in found.files] == ["a.png", "b.png", "c.png", "d.png"]
    assert {one.reason: one.fate for one in found.left_out} == {
        "file name is not UTF-8": Fate.QUARANTINED,
        "not a file, or a link that leads nowhere": Fate.QUARANTINED,
        "row of the table whose image is not on disk": Fate.NOT_ON_DISK,
    }
    assert len(found.left_out) == 3


def test_of_copies_in_two_published_folders_one_is_taken(tmp_path: Path) -> None:
    for folder in ("images_001/images", "images_002/images"):
        write(tmp_path / folder / "a.png", IMAGE)
    write_nih_table(tmp_path, [nih_row("a.png")])
    found = list_files(tmp_path)
    assert [file.path for file in found.files] == [str(tmp_path / "images_001/images/a.png")]
    assert [(one.source, one.reason, one.fate) for one in found.left_out] == [
        (
            str(tmp_path / "images_002/images/a.png"),
            "another image of the same name",
            Fate.DUPLICATE,
        )
    ]


def test_of_one_name_in_two_published_folders_none_is_taken_if_they_differ(tmp_path: Path) -> None:
    for number, folder in enumerate(("images_001/images", "images_002/images")):
        write(tmp_path / folder / "a.png", encode(film(number)))
    write(tmp_path / "images/b.png", IMAGE)
    write_nih_table(tmp_path, [nih_row("a.png"), nih_row("b.png")])
    found = list_files(tmp_path)
    assert [file.filename for file in found.files] == ["b.png"]
    assert fates(found) == {"bad row": 1, "out of scope": 2}


def test_a_bare_name_in_several_folders_of_an_own_set_is_of_none(tmp_path: Path) -> None:
    for name in ("one/a.png", "two/a.png", "one/b.png", "two/b.png", "c.png"):
        write(tmp_path / name, IMAGE)
    rows = "a.png,normal,1\none/b.png,normal,2\ntwo/b.png,Pneumonia,3\nc.png,normal,4\n"
    write(tmp_path / "labels.csv", f"image,findings,patient\n{rows}".encode())
    found = list_files(tmp_path)
    labels = {os.path.relpath(file.path, tmp_path): file.label for file in found.files}
    assert labels == {"one/b.png": NORMAL, "two/b.png": PNEUMONIA, "c.png": NORMAL}
    assert collections.Counter((one.reason, one.fate) for one in found.left_out) == {
        ("row of the table that fits several images", Fate.BAD_ROW): 1,
        ("image on disk without a row in the table", Fate.OUT_OF_SCOPE): 2,
    }


def test_a_table_of_full_length_against_few_images_takes_one_scan_and_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = 112_120
    for number in range(12):
        write(tmp_path / f"images_{number % 12 + 1:03d}/images/{number:08d}_000.png", IMAGE)
    write_nih_table(
        tmp_path,
        [nih_row(f"{number:08d}_000.png", patient=number) for number in range(rows)],
    )
    scanned: list[str] = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: scanned.append(str(path)) or scandir(path))
    start = time.perf_counter()

    found = list_files(tmp_path)

    assert len(found.files) == 12
    assert fates(found) == {"not on disk": rows - 12}
    assert found.read == rows
    assert time.perf_counter() - start < 20
    images = [path for path in scanned if path.endswith("/images")]
    assert len(images) == len(set(images)) == 13


def test_images_in_the_published_folders(tmp_path: Path) -> None:
    folders = ("images_001/images", "images_012/images", "images")
    for number, folder in enumerate(folders):
        write(tmp_path / folder / f"{number}.png", IMAGE)
    write(tmp_path / "images_copy/images/3.png", IMAGE)
    write_nih_table(tmp_path, [nih_row(f"{number}.png") for number in range(4)])

    found = list_files(tmp_path)

    assert [file.path for file in found.files] == [
        str(tmp_path / folder / f"{number}.png") for number, folder in enumerate(folders)
    ]
    assert left_out(found) == {"3.png": "row of the table whose image is not on disk"}


# --- The table as a file ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "table",
    [
        pytest.param("\ufeff" + "\n".join([NIH_HEADER, *ROWS]), id="byte order mark"),
        pytest.param("\r\n".join([NIH_HEADER, *ROWS, ""]), id="Windows line ends"),
        pytest.param("\n".join([NIH_HEADER, *ROWS]), id="no last line end"),
        pytest.param("\n".join([NIH_HEADER, "", *ROWS, "", ""]), id="blank lines"),
        pytest.param(",\n".join([NIH_HEADER, *ROWS, ""])[:-2], id="commas at the line ends"),
        pytest.param(
            "\n".join([NIH_HEADER, *(f"{row}," for row in ROWS)]), id="commas at the rows' ends"
        ),
    ],
)
def test_dialects(tmp_path: Path, table: str) -> None:
    for name in ("a.png", "b.png"):
        write(tmp_path / "images" / name, IMAGE)
    write(tmp_path / NIH_TABLE, table.encode())

    found = list_files(tmp_path)

    assert [(file.filename, file.patient_id, file.label) for file in found.files] == [
        ("a.png", "nih:1", NORMAL),
        ("b.png", "nih:2", PNEUMONIA),
    ]
    assert not found.left_out


def test_the_table_of_2017_does_too_and_the_newer_one_goes_first(tmp_path: Path) -> None:
    write(tmp_path / "images/a.png", IMAGE)
    write_nih_table(tmp_path, [nih_row("a.png", patient=2017)], name="Data_Entry_2017.csv")
    assert nih.is_root(tmp_path, Source())
    assert list_files(tmp_path).files[0].patient_id == "nih:2017"

    write_nih_table(tmp_path, [nih_row("a.png", patient=2020)])
    assert list_files(tmp_path).files[0].patient_id == "nih:2020"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        pytest.param(b"", "has no header", id="empty"),
        pytest.param(
            NIH_HEADER.replace("Image Index", "Scan").encode(),
            "lacks the column 'Image Index'",
            id="a column missing",
        ),
        pytest.param(NIH_HEADER.encode(), "0 rows .* there is nothing", id="a header alone"),
        pytest.param(
            f'{NIH_HEADER}\n"a.png,No Finding'.encode(), "1 row of the table", id="open quote"
        ),
    ],
)
def test_a_table_that_cannot_be_used_is_named(tmp_path: Path, data: bytes, words: str) -> None:
    table = write(tmp_path / NIH_TABLE, data)
    with pytest.raises(DatasetError, match=words) as error:
        list_files(tmp_path)
    assert str(table) in str(error.value)


def test_a_folder_without_a_table(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="holds none of the tables") as error:
        list_files(tmp_path)
    assert NIH_TABLE in str(error.value)


def test_a_table_none_of_whose_images_is_there(tmp_path: Path) -> None:
    write(tmp_path / "somewhere/a.png", IMAGE)
    write_nih_table(tmp_path, ROWS)
    with pytest.raises(DatasetError, match=r"2 rows and .* 0 images") as error:
        list_files(tmp_path)
    assert str(tmp_path / "images") in str(error.value)
