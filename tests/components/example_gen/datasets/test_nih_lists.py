"""What lies beside the NIH table: the list of boxes, and the published division."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.example_gen.datasets.listing import (
    DatasetError,
)
from tests.components.example_gen.datasets.nih_listings import (
    list_files,
    list_rows,
    only_file,
)
from tests.components.example_gen.samples import (
    BOX_HEADER,
    BOX_TABLE,
    NIH_TABLE,
    nih_row,
    write,
)

# --- Boxes -----------------------------------------------------------------------------------


QUARTERS = "a.png,Pneumonia,256,512,128,64"


def boxes_of(root: Path, *lines: str) -> tuple[tuple[float, ...], ...]:
    write(root / BOX_TABLE, "\n".join(lines).encode())
    return only_file(root, nih_row("a.png")).boxes


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param((BOX_HEADER, QUARTERS), id="as published"),
        pytest.param((BOX_HEADER, f"{QUARTERS},,,"), id="rows as long as the header"),
    ],
)
def test_boxes_are_fractions_of_the_published_frame(tmp_path: Path, lines: tuple[str, ...]) -> None:
    assert boxes_of(tmp_path, *lines) == ((0.25, 0.5, 0.125, 0.0625),)


def test_an_image_has_all_its_boxes_and_no_other(tmp_path: Path) -> None:
    others = "b.png,Mass,0,0,1024,1024", "a.png,Effusion,0,0,1.5,1024"
    assert boxes_of(tmp_path, BOX_HEADER, QUARTERS, *others) == (
        (0.25, 0.5, 0.125, 0.0625),
        (0.0, 0.0, 1.5 / 1024, 1.0),
    )


def test_each_box_names_its_finding(tmp_path: Path) -> None:
    lines = [
        BOX_HEADER,
        QUARTERS,
        "a.png,Infiltrate,0,0,512,512",
        "a.png,Shadow,0,0,9,9",
        "b.png,Mass,0,0,9,9",
    ]
    path = write(tmp_path / BOX_TABLE, "\n".join(lines).encode())
    found = list_rows(tmp_path, nih_row("a.png"))
    assert found.files[0].box_findings == ("Pneumonia", "Infiltration")
    assert len(found.files[0].boxes) == 2
    assert [(one.source, one.value) for one in found.ignored] == [(f"{path}:4", "Shadow")]


def test_no_list_of_boxes(tmp_path: Path) -> None:
    assert only_file(tmp_path, nih_row("a.png")).boxes == ()


@pytest.mark.parametrize(
    "box",
    [
        "256,much,128,64",
        "256",
        "",
        "nan,0,128,64",
        "0,nan,128,64",
        "0,0,nan,64",
        "0,0,128,nan",
        "0,0,inf,64",
        "-1,0,128,64",
        "0,0,0,64",
        "0,0,128,-64",
        "1000,0,128,64",
        "0,1000,64,128",
    ],
)
def test_a_box_that_is_none_is_noted_and_the_others_kept(tmp_path: Path, box: str) -> None:
    lines = [BOX_HEADER, f"a.png,Pneumonia,{box}", QUARTERS]
    path = write(tmp_path / BOX_TABLE, "\n".join(lines).encode())
    found = list_rows(tmp_path, nih_row("a.png"))
    assert found.files[0].boxes == ((0.25, 0.5, 0.125, 0.0625),)
    assert [(one.source, one.field) for one in found.ignored] == [(f"{path}:2", "boxes")]


def test_a_box_that_ends_a_hair_beyond_the_image_stays_within_the_contract(tmp_path: Path) -> None:
    assert boxes_of(tmp_path, BOX_HEADER, "a.png,Mass,0,0,1024.5,1024.5") == ((0, 0, 1, 1),)


def test_a_list_of_boxes_in_another_form_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="does not begin as NIH's does") as error:
        boxes_of(tmp_path, "Image,Box", "a.png,1")
    assert str(tmp_path / BOX_TABLE) in str(error.value)


def test_the_boxes_count_for_the_fingerprint(nih_root: Path) -> None:
    before = list_files(nih_root).fingerprint()
    write(nih_root / BOX_TABLE, f"{BOX_HEADER}\n{QUARTERS}\n".encode())
    assert list_files(nih_root).fingerprint() != before


# --- The published division ------------------------------------------------------------------


def test_the_published_lists_tell_the_split(tmp_path: Path) -> None:
    write(tmp_path / "train_val_list.txt", "\ufeffa.png\r\nb.png\r\n".encode())
    write(tmp_path / "test_list.txt", b"c.png")
    found = list_rows(tmp_path, *(nih_row(f"{name}.png") for name in "abcd"))
    assert {file.filename: file.source_split for file in found.files} == {
        "a.png": "train_val", "b.png": "train_val", "c.png": "test", "d.png": None
    }  # fmt: skip
    assert {path.name for path in found.tables} == {
        NIH_TABLE, "train_val_list.txt", "test_list.txt"
    }  # fmt: skip


def test_the_lists_count_for_the_fingerprint(nih_root: Path) -> None:
    before = list_files(nih_root).fingerprint()
    write(nih_root / "test_list.txt", b"00000001_000.png\n")
    assert list_files(nih_root).fingerprint() != before
