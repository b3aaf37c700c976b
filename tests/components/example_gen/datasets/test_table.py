"""CSV files as they come."""

import codecs
import csv
import io
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.example_gen.datasets import table
from components.example_gen.datasets.listing import DatasetError, Fate, LeftOut
from tests.components.example_gen.samples import write

REQUIRED = ("image", "findings")
HEADER = "image,findings,comment"
MALFORMED = "row of the table that is malformed"


def read(
    root: Path, data: str | bytes, columns: dict[str, str] | None = None
) -> tuple[list[table.Row], list[int]]:
    """The rows of a table, and the lines of those that are malformed."""
    data = data.encode() if isinstance(data, str) else data
    path = write(root / "t.csv", data)
    rows, malformed = table.read_table(path, columns or {}, REQUIRED)
    assert {one.reason for one in malformed} <= {MALFORMED}
    assert {one.fate for one in malformed} <= {Fate.BAD_ROW}
    return rows, [int(one.source.removeprefix(f"{path}:")) for one in malformed]


def images(root: Path, data: str | bytes) -> tuple[list[str], list[int]]:
    rows, malformed = read(root, data)
    return [row.image for row in rows], malformed


# --- Encodings and dialects ------------------------------------------------------------------

PLAIN = f"{HEADER}\na.png,normal,ä\nb.png,pneumonia,\n"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(PLAIN.encode(), id="UTF-8"),
        pytest.param(codecs.BOM_UTF8 + PLAIN.encode(), id="UTF-8 with a byte order mark"),
        pytest.param(PLAIN.encode("utf-16"), id="UTF-16"),
        pytest.param(codecs.BOM_UTF16_BE + PLAIN.encode("utf-16-be"), id="UTF-16, big end first"),
        pytest.param(PLAIN.encode("latin-1"), id="Latin-1 in a column that is not read"),
        pytest.param(PLAIN.replace("\n", "\r\n").encode(), id="Windows"),
        pytest.param(PLAIN.replace("\n", "\r").encode(), id="old Macintosh"),
        pytest.param(PLAIN.replace("\n", "\r\n", 1).encode(), id="line ends mixed"),
        pytest.param(PLAIN.rstrip("\n").encode(), id="no last line end"),
        pytest.param(PLAIN.replace(",", ";").encode(), id="semicolons"),
        pytest.param(PLAIN.replace(",", "\t").encode(), id="tabs"),
        pytest.param(PLAIN.replace("\n", "\n\n  \n").encode(), id="empty lines"),
        pytest.param(PLAIN.replace("\n", ",,\n").encode(), id="commas at the ends of lines"),
        pytest.param(PLAIN.replace(",", " , ").encode(), id="spaces"),
        pytest.param(PLAIN.replace("a.png", '"a.png"').encode(), id="quotes"),
        pytest.param(PLAIN.replace("ä", "a\0b").encode(), id="NUL in a column that is not read"),
        pytest.param(
            PLAIN.replace("comment", '"comment, or none"').encode(), id="comma in the header"
        ),
    ],
)
def test_dialects(tmp_path: Path, data: bytes) -> None:
    rows, malformed = read(tmp_path, data)
    assert [(row.image, row.findings) for row in rows] == [
        ("a.png", "normal"), ("b.png", "pneumonia")
    ]  # fmt: skip
    assert not malformed


def test_a_header_with_commas_in_quotes_between_semicolons(tmp_path: Path) -> None:
    rows, _ = read(tmp_path, 'image;findings;"size, in pixels, of the film"\na.png;normal;9\n')
    assert [(row.image, row.findings) for row in rows] == [("a.png", "normal")]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        pytest.param(b"", "has no header", id="empty"),
        pytest.param(b"\n\n", "has no header", id="empty lines"),
        pytest.param(b",,,\na.png,normal,,\n", "has no header", id="only commas"),
        pytest.param(b'""\n', "has no header", id="only quotes"),
        pytest.param(codecs.BOM_UTF8, "has no header", id="byte order mark alone"),
        pytest.param(b"a.png,normal\n", "lacks the column 'Image Index'", id="no header"),
        pytest.param(b"findings\nnormal\n", "lacks the column 'Image Index'", id="no images"),
        pytest.param(b"image\na.png\n", "lacks the column 'Finding Labels'", id="no findings"),
        pytest.param(bytes(999), "is no text", id="NUL bytes"),
        pytest.param(bytes(300_000), "is no text", id="many NUL bytes"),
        pytest.param(bytes(range(256)) * 2_000, "is no text", id="no text"),
        pytest.param(b'"' + b"x" * 300_000, "has no header", id="a quote without end"),
        pytest.param(PLAIN.encode("utf-16-le"), "is no text", id="UTF-16 without its mark"),
    ],
)
def test_what_is_no_table_is_refused_by_name(tmp_path: Path, data: bytes, words: str) -> None:
    path = write(tmp_path / "t.csv", data)
    with pytest.raises(DatasetError, match=words) as error:
        table.read_table(path, {}, REQUIRED)
    assert str(path) in str(error.value)


def test_a_table_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="cannot be read: Is a directory"):
        table.read_csv(tmp_path)


def test_a_header_alone_is_a_table_without_rows(tmp_path: Path) -> None:
    assert read(tmp_path, HEADER) == read(tmp_path, f"{HEADER}\n") == ([], [])


# --- Rows ------------------------------------------------------------------------------------


def test_line_numbers_are_those_of_an_editor(tmp_path: Path) -> None:
    rows, malformed = read(tmp_path, f'{HEADER}\na,normal,\n\nb,normal,"x\ny"\nc\nd,normal,\n')
    assert [(row.image, row.line) for row in rows] == [("a", 2), ("b", 4), ("d", 7)]
    assert malformed == [6]


@pytest.mark.parametrize(
    ("row", "kept"),
    [
        pytest.param("b,normal,", True, id="sound"),
        pytest.param('"b","normal","a, b"', True, id="commas in quotes"),
        pytest.param('b,normal,"say ""ah"""', True, id="quotes in quotes"),
        pytest.param('b,normal,"two\nlines"', True, id="two lines in quotes"),
        pytest.param('b,normal,5" film', True, id="inches"),
        pytest.param('b,normal,"5"" film', True, id="a quote that stays open"),
        pytest.param('b,normal,"', True, id="a last quote alone"),
        pytest.param('b,"normal,', False, id="a quote that stays open before a comma"),
        pytest.param('"b,normal,', False, id="a quote that stays open from the start"),
        pytest.param("b,normal", False, id="too few columns"),
        pytest.param("b", False, id="one column"),
        pytest.param(",", False, id="one comma"),
        pytest.param("b,normal,,x", False, id="too many columns"),
        pytest.param("b,normal,,,,", True, id="more commas"),
        pytest.param("b\0,normal,", False, id="NUL"),
        pytest.param('"b\n",normal,', True, id="a line end that is stripped"),
        pytest.param('"b\nc",normal,', False, id="a line end within a name"),
        pytest.param("b,normal,\0", True, id="NUL where it does not matter"),
        pytest.param("b\ufffd,normal,", False, id="a character that was lost"),
        pytest.param("x" * 200_000, False, id="a line without end"),
        pytest.param('"' + "x" * 200_000, False, id="a quote without end"),
        pytest.param('b,normal,"' + "line\n" * 200 + '"', False, id="too many lines in quotes"),
    ],
)
def test_a_row_is_kept_or_malformed_and_those_around_it_are_safe(
    tmp_path: Path, row: str, kept: bool
) -> None:
    found, malformed = images(tmp_path, f"{HEADER}\na,normal,\n{row}\nc,normal,\nd,normal,\n")
    assert found[0] == "a"
    assert found[-2:] == ["c", "d"]
    assert bool(malformed) == (not kept)
    assert ("b" in found) == kept or 'normal,"line' in row


def test_latin_1_spoils_its_row_alone(tmp_path: Path) -> None:
    text = f"{HEADER}\nä.png,normal,\nb.png,normal,\n"
    assert images(tmp_path, text.encode("latin-1")) == (["b.png"], [2])


@pytest.mark.parametrize("column", range(3))
def test_two_stray_quotes_do_not_swallow_what_is_between(tmp_path: Path, column: int) -> None:
    stray = ["a", "normal", "x"]
    stray[column] = f'"{stray[column]}'
    lines = [
        HEADER,
        ",".join(stray),
        "b,normal,",
        ",".join(stray).replace("a", "c", 1),
        "d,normal,",
    ]
    found, malformed = images(tmp_path, "\n".join(lines))
    assert {"b", "d"} <= set(found)
    assert len(found) + len(malformed) == 4


words = st.text(st.sampled_from('ab,;"\n\r\t \0é|'), max_size=6)


@given(rows=st.lists(st.tuples(words, words, words), max_size=6))
def test_what_csv_writes_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, rows: Sequence[tuple[str, str, str]]
) -> None:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerows([HEADER.split(","), *(("i" + image, *rest) for image, *rest in rows)])
    path = write(tmp_path_factory.getbasetemp() / "any.csv", text.getvalue().encode())
    _, read_back = table.read_csv(path)
    # Line ends of every kind become one, and values are stripped.
    expected = [
        [value.replace("\r\n", "\n").replace("\r", "\n").strip() for value in ("i" + image, *rest)]
        for image, *rest in rows
    ]
    assert [fields for _, fields in read_back] == expected


@given(junk=st.text('a,"\n', max_size=60))
def test_no_junk_swallows_the_rows_after_it(
    tmp_path_factory: pytest.TempPathFactory, junk: str
) -> None:
    sound = ["y,normal,", "z,normal,"]
    text = "\n".join([HEADER, junk, *sound])
    path = write(tmp_path_factory.getbasetemp() / "junk.csv", text.encode())
    _, records = table.read_csv(path)
    assert [",".join(fields) for _, fields in records][-2:] == sound


@pytest.mark.parametrize(
    "row",
    [
        'a","x,normal',
        'a,"normal,x',
        '"a,normal,x',
        'a"b,"c,d',
        '"""",a',
        'a,normal,"x',
        'a,normal,x"',
        '"a","normal","x"',
    ],
)
def test_pathological_quotes_in_every_row_take_no_time(tmp_path: Path, row: str) -> None:
    rows = 20_000
    path = write(tmp_path / "t.csv", "\n".join([HEADER, *[row] * rows]).encode())
    start = time.perf_counter()
    _, records = table.read_csv(path)
    taken = sum(1 for _ in records)
    assert time.perf_counter() - start < 10
    assert taken >= rows / 2


def test_a_published_table_of_full_length_is_read_in_seconds(tmp_path: Path) -> None:
    row = "00000001_000.png,Cardiomegaly|Emphysema,0,1,57,M,PA,2682,2749,0.143,0.143\n"
    header = "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,"
    header += "View Position,OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]\n"
    path = write(tmp_path / "t.csv", (header + row * 112_120).encode())
    start = time.perf_counter()
    rows, malformed = table.read_table(path, {}, REQUIRED)
    assert (len(rows), len(malformed)) == (112_120, 0)
    assert time.perf_counter() - start < 15


# --- Columns ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "header",
    [
        "Image Index,Finding Labels,Patient ID",
        "image,findings,patient",
        "IMAGE_PATH,Finding,PatientId",
        "path,label,subject_id",
        "filename,Labels,Subject",
        "image_id,class,patient-id",
        "SOPInstanceUID,diagnosis,patient",
    ],
)
def test_columns_are_recognised_by_their_usual_names(tmp_path: Path, header: str) -> None:
    (row,), _ = read(tmp_path, f"number,{header}\n1,a.png,normal,7\n")
    assert (row.image, row.findings, row.patient) == ("a.png", "normal", "7")
    assert (row.age, row.sex, row.view, row.follow_up) == ("", "", "", "")


def test_columns_that_were_named_win_over_the_usual_names(tmp_path: Path) -> None:
    data = "image,findings,file of the film,what it shows\nx,normal,a.png,Pneumonia\n"
    named = {"image": "file of the film", "findings": "what it shows"}
    (row,), _ = read(tmp_path, data, named)
    assert (row.image, row.findings) == ("a.png", "Pneumonia")


def test_names_of_columns_in_any_script(tmp_path: Path) -> None:
    data = "снимок,заключение,图像\nx,Pneumonia,a.png\n"
    (row,), _ = read(tmp_path, data, {"image": "图像", "findings": "заключение"})
    assert (row.image, row.findings) == ("a.png", "Pneumonia")


def test_named_columns_that_differ_in_punctuation_alone(tmp_path: Path) -> None:
    data = "image,Label,label\na.png,x,normal\n"
    (row,), _ = read(tmp_path, data, {"findings": "label"})
    assert row.findings == "normal"


def test_one_column_may_serve_twice(tmp_path: Path) -> None:
    (row,), _ = read(tmp_path, "image,findings\na.png,normal\n", {"patient": "image"})
    assert (row.image, row.patient) == ("a.png", "a.png")


@pytest.mark.parametrize("name", ["findings", "age"])
def test_a_column_that_was_named_must_be_there(tmp_path: Path, name: str) -> None:
    with pytest.raises(DatasetError) as error:
        read(tmp_path, PLAIN, {name: "my column"})
    for words in ("'my column'", "image, findings, comment", f"columns.{name}"):
        assert words in str(error.value)


def test_a_missing_column_is_named_with_those_that_are_there(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"columns\.findings") as error:
        read(tmp_path, "image,verdict\na.png,normal\n")
    assert "it has image, verdict" in str(error.value)


# --- Tables of a dataset ---------------------------------------------------------------------


def test_the_table_that_was_named_or_the_first_of_the_usual_ones(tmp_path: Path) -> None:
    for name in ("b.csv", "c.csv", "own/d.csv"):
        write(tmp_path / name, b"")
    assert table.find_table(tmp_path, None, ("a.csv", "b.csv", "c.csv")) == tmp_path / "b.csv"
    assert table.find_table(tmp_path, "own/d.csv", ("b.csv",)) == tmp_path / "own/d.csv"
    assert table.find_table(tmp_path, None, ("a.csv",)) is None


def test_a_named_table_that_is_not_there_is_a_mistake(tmp_path: Path) -> None:
    write(tmp_path / "b.csv", b"")
    with pytest.raises(DatasetError, match=r"my\.csv: no such table"):
        table.find_table(tmp_path, "my.csv", ("b.csv",))


# --- Rows of one image -----------------------------------------------------------------------


def row_of(findings: str, patient: str = "1") -> table.Row:
    return table.Row(2, "a.png", findings, patient, "", "", "", "")


@pytest.mark.parametrize(
    ("one", "other", "agree"),
    [
        (("Pneumonia|Edema", "1"), ("Edema|Pneumonia", "1"), True),
        (("normal", "1"), ("No Finding", "1.0"), True),
        (("Pneumonia|Edema", "1"), ("Pneumonia", "1"), False),
        (("normal", "1"), ("Pneumonia", "1"), False),
        (("normal", "1"), ("normal", "2"), False),
        (("Mass", "1"), ("Mass|no pneumonia", "1"), False),
    ],
)
def test_rows_of_one_image_agree_or_contradict_each_other(
    one: tuple[str, str], other: tuple[str, str], agree: bool
) -> None:
    rows = [row_of(*one), row_of(*other)]
    matched, left_out, disputed = table.match_rows(rows, lambda row: row.image)
    if agree:
        assert matched == {"a.png": rows[0]}
        assert left_out == [LeftOut("a.png", table.REPEATED, Fate.DUPLICATE)]
        assert not disputed
    else:
        assert not matched
        assert left_out == [LeftOut("a.png", table.DISPUTED, Fate.BAD_ROW)]
        assert disputed == {"a.png"}
