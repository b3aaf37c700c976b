"""The NIH tables with the quirks that they have in the field."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.example_gen import nih
from components.example_gen.listing import DatasetError, Listing
from components.example_gen.record import NORMAL, PNEUMONIA, XrayFile
from tests.components.example_gen.samples import (
    BOX_HEADER,
    BOX_TABLE,
    NIH_HEADER,
    NIH_TABLE,
    encode,
    film,
    nih_row,
    write,
    write_nih_table,
)

IMAGE = encode(film(0))


def list_rows(root: Path, *rows: str, header: str = NIH_HEADER) -> Listing:
    """The listing of a table, where every image that it names is on disk."""
    for row in rows:
        write(root / "images" / row.split(",")[0].strip(), IMAGE)
    write_nih_table(root, rows, header)
    return nih.list_files(root)


def only_file(root: Path, row: str) -> XrayFile:
    (file,) = list_rows(root, row).files
    return file


def left_out(found: Listing) -> dict[str, str]:
    return {Path(one.source).name: one.reason for one in found.left_out}


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


@pytest.mark.parametrize("findings", ["Infiltration", "Mass|Nodule", "Pneumothorax", ""])
def test_other_findings_are_left_out(tmp_path: Path, findings: str) -> None:
    found = list_rows(tmp_path, nih_row("a.png"), nih_row("b.png", findings=findings))
    assert [file.filename for file in found.files] == ["a.png"]
    assert left_out(found) == {"b.png": "other finding, neither normal nor pneumonia"}


@pytest.mark.parametrize(
    ("age", "years"),
    [
        ("57", 57),
        ("060Y", 60),
        ("005Y", 5),
        ("011M", 0),
        ("001D", 0),
        ("0", 0),
        ("120", 120),
        ("412", None),
        ("412Y", None),
        ("-1", None),
        ("", None),
        ("Y", None),
        ("57.5", None),
        ("unknown", None),
        ("²", None),
    ],
)
def test_ages(tmp_path: Path, age: str, years: int | None) -> None:
    assert only_file(tmp_path, nih_row("a.png", age=age)).age_years == years


@pytest.mark.parametrize(
    ("sex", "expected"), [("F", "F"), ("M", "M"), ("U", None), ("", None), (" F ", "F")]
)
def test_sexes(tmp_path: Path, sex: str, expected: str | None) -> None:
    assert only_file(tmp_path, nih_row("a.png", sex=sex)).sex == expected


@pytest.mark.parametrize(
    ("visit", "expected"), [("0", 0), ("12", 12), ("", None), ("-1", None), ("²", None)]
)
def test_follow_ups(tmp_path: Path, visit: str, expected: int | None) -> None:
    assert only_file(tmp_path, nih_row("a.png", visit=visit)).follow_up == expected


@given(fields=st.lists(st.text("0123456789YMD²x |-", max_size=5), min_size=5, max_size=5))
def test_no_row_stops_the_listing(
    tmp_path_factory: pytest.TempPathFactory, fields: list[str]
) -> None:
    root = tmp_path_factory.getbasetemp() / "any_row"
    names = ("findings", "visit", "patient", "age", "sex")
    odd = nih_row("odd.png", **dict(zip(names, fields, strict=True)))

    found = list_rows(root, nih_row("sound.png"), odd)

    assert found.files[0].filename == "sound.png"
    assert len(found.files) + len(found.left_out) == 2


def test_rows_and_images_that_do_not_match(tmp_path: Path) -> None:
    write(tmp_path / "images/without_row.png", IMAGE)
    write(tmp_path / "images/a.png", IMAGE)
    write(tmp_path / "images/b.png", IMAGE)
    write_nih_table(
        tmp_path,
        [
            nih_row("a.png", patient=1),
            nih_row("a.png", patient=2, findings="Pneumonia"),
            nih_row("b.png", patient=""),
            nih_row("without_image.png"),
        ],
    )

    found = nih.list_files(tmp_path)

    assert [(file.filename, file.patient_id) for file in found.files] == [("a.png", "nih:1")]
    assert left_out(found) == {
        "a.png": "row repeats an earlier row of the table",
        "b.png": "row of the table without a patient",
        "without_image.png": "row of the table whose image is not on disk",
        "without_row.png": "image on disk without a row in the table",
    }


def test_images_in_the_published_folders(tmp_path: Path) -> None:
    folders = ("images_001/images", "images_012/images", "images")
    for number, folder in enumerate(folders):
        write(tmp_path / folder / f"{number}.png", IMAGE)
    write(tmp_path / "images_copy/images/3.png", IMAGE)
    write_nih_table(tmp_path, [nih_row(f"{number}.png") for number in range(4)])

    found = nih.list_files(tmp_path)

    assert [file.path for file in found.files] == [
        str(tmp_path / folder / f"{number}.png") for number, folder in enumerate(folders)
    ]
    assert left_out(found) == {"3.png": "row of the table whose image is not on disk"}


# --- The table as a file ---------------------------------------------------------------------

ROWS = (nih_row("a.png"), nih_row("b.png", findings="Pneumonia", patient=2))


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

    found = nih.list_files(tmp_path)

    assert [(file.filename, file.patient_id, file.label) for file in found.files] == [
        ("a.png", "nih:1", NORMAL),
        ("b.png", "nih:2", PNEUMONIA),
    ]
    assert not found.left_out


def test_the_table_of_2017_does_too_and_the_newer_one_goes_first(tmp_path: Path) -> None:
    write(tmp_path / "images/a.png", IMAGE)
    write_nih_table(tmp_path, [nih_row("a.png", patient=2017)], name="Data_Entry_2017.csv")
    assert nih.is_root(tmp_path)
    assert nih.list_files(tmp_path).files[0].patient_id == "nih:2017"

    write_nih_table(tmp_path, [nih_row("a.png", patient=2020)])
    assert nih.list_files(tmp_path).files[0].patient_id == "nih:2020"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        pytest.param(bytes(range(256)) * 8, "cannot be read as a CSV table", id="garbage"),
        pytest.param(b"", "cannot be read as a CSV table", id="empty"),
        pytest.param(
            NIH_HEADER.encode("utf-16"), "cannot be read as a CSV table", id="another encoding"
        ),
        pytest.param(
            f'{NIH_HEADER}\n"a.png,No Finding'.encode(), "cannot be read", id="open quote"
        ),
        pytest.param(bytes(999), "lacks the column 'Image Index'", id="NUL bytes"),
        pytest.param(
            NIH_HEADER.replace(",", ";").encode(), "lacks the column 'Image Index'", id="semicolons"
        ),
        pytest.param(
            NIH_HEADER.replace("Patient ID", "Patient").encode(),
            "lacks the column 'Patient ID'",
            id="a column missing",
        ),
    ],
)
def test_a_table_that_cannot_be_used_is_named(tmp_path: Path, data: bytes, words: str) -> None:
    table = write(tmp_path / NIH_TABLE, data)
    with pytest.raises(DatasetError, match=words) as error:
        nih.list_files(tmp_path)
    assert str(table) in str(error.value)


def test_a_table_none_of_whose_images_is_there(tmp_path: Path) -> None:
    write(tmp_path / "somewhere/a.png", IMAGE)
    write_nih_table(tmp_path, ROWS)
    with pytest.raises(DatasetError, match=r"2 rows and .* 0 images") as error:
        nih.list_files(tmp_path)
    assert str(tmp_path / "images") in str(error.value)


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


def test_no_list_of_boxes(tmp_path: Path) -> None:
    assert only_file(tmp_path, nih_row("a.png")).boxes == ()


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ((BOX_HEADER, "a.png,Pneumonia,256,much,128,64"), "much"),
        ((BOX_HEADER, "a.png,Pneumonia,256"), "not made of numbers"),
        ((BOX_HEADER, "a.png,Pneumonia,nan,0,128,64"), "not made of numbers"),
        (("Image,Box", "a.png,1"), "lacks the column 'Image Index'"),
    ],
)
def test_a_list_of_boxes_that_cannot_be_used_is_named(
    tmp_path: Path, lines: tuple[str, ...], words: str
) -> None:
    with pytest.raises(DatasetError, match=words) as error:
        boxes_of(tmp_path, *lines)
    assert str(tmp_path / BOX_TABLE) in str(error.value)


def test_the_boxes_count_for_the_fingerprint(nih_root: Path) -> None:
    before = nih.list_files(nih_root).fingerprint()
    write(nih_root / BOX_TABLE, f"{BOX_HEADER}\n{QUARTERS}\n".encode())
    assert nih.list_files(nih_root).fingerprint() != before
