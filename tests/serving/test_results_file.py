import csv
from pathlib import Path

import numpy as np
import pytest

from serving.prediction import Failure, Finding, FindingsPrediction, Prediction
from serving.results_file import ResultsFile, ResultsFileError

MODEL = "cxr version 3"
A = Prediction("a.png", 0.25, 0, "NORMAL", ("blank", "inverted"))
B = Prediction("b.png", 0.75, 1, "PNEUMONIA")
BAD = Failure('odd\n"name".png', "cannot be read: Is a directory")


def write(path: Path, *answers: object, model: str = MODEL) -> frozenset[str]:
    with ResultsFile(path, model) as file:
        for answer in answers:
            file.write(answer)
        return file.done


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new" / "results.csv"


def test_a_line_for_each_answer(path: Path) -> None:
    assert write(path, A, BAD) == frozenset()
    assert rows(path) == [
        {
            "file": "a.png",
            "probability": "0.25",
            "decision": "0",
            "label": "NORMAL",
            "quality": "blank,inverted",
            "error": "",
            "model": MODEL,
        },
        dict.fromkeys(("probability", "decision", "label", "quality"), "")
        | {"file": BAD.source, "error": BAD.reason, "model": MODEL},
    ]


def test_a_line_is_there_as_soon_as_it_is_written(path: Path) -> None:
    with ResultsFile(path, MODEL) as file:
        file.write(A)
        assert [row["file"] for row in rows(path)] == ["a.png"]


def test_findings_have_two_columns_each(path: Path) -> None:
    write(path, FindingsPrediction("a.png", [Finding("Mass", 0.5, 1), Finding("Edema", 0.125, 0)]))
    (row,) = rows(path)
    assert list(row)[:5] == [
        "file",
        "Mass probability",
        "Mass decision",
        "Edema probability",
        "Edema decision",
    ]
    assert list(row.values())[:5] == ["a.png", "0.5", "1", "0.125", "0"]


def test_probabilities_are_those_that_were_answered(path: Path) -> None:
    value = float(np.float32(0.1))
    write(path, Prediction("a.png", value, 0, "NORMAL"))
    assert np.float32(rows(path)[0]["probability"]) == np.float32(value)


def test_goes_on_where_it_was(path: Path) -> None:
    write(path, A, BAD)
    assert write(path, B) == {"a.png", BAD.source}
    assert [row["file"] for row in rows(path)] == ["a.png", BAD.source, "b.png"]


# In the header; in the first line; within a name of two lines; just before the last line ends.
@pytest.mark.parametrize(
    ("lost", "left"), [(0.9, []), (0.7, []), (60, ["a.png"]), (1, ["a.png"])], ids=str
)
def test_a_line_that_was_cut_off_is_asked_again(path: Path, lost: float, left: list[str]) -> None:
    write(path, A, BAD)
    whole = path.read_bytes()
    keep = len(whole) - (lost if lost >= 1 else int(lost * len(whole)))
    path.write_bytes(whole[:keep])

    assert write(path, B) == set(left)
    assert [row["file"] for row in rows(path)] == [*left, "b.png"]


def test_a_header_that_was_cut_off_is_written_again(path: Path) -> None:
    findings = FindingsPrediction("a.png", [Finding("Pleural Thickening", 0.5, 1)])
    for answer, part in ((A, "file,"), (A, "file,probability,dec"), (BAD, "file,quali")):
        path.parent.mkdir(exist_ok=True)
        path.write_text(part)
        write(path, answer)
        assert [row["file"] for row in rows(path)] == [answer.source]
    path.write_text("file,Pleural Thickening probability,Pleural Thick")
    write(path, findings)
    assert [row["file"] for row in rows(path)] == ["a.png"]


def test_is_begun_anew_as_long_as_nothing_was_answered(path: Path) -> None:
    write(path, BAD)
    assert [row["error"] for row in rows(path)] == [BAD.reason]
    assert write(path, BAD, A) == frozenset()
    assert [row["file"] for row in rows(path)] == [BAD.source, "a.png"]


def test_refuses_the_answers_of_another_version(path: Path) -> None:
    write(path, A)
    before = path.read_bytes()
    with pytest.raises(ResultsFileError, match=r"by cxr version 3, not by cxr version 4; choose"):
        ResultsFile(path, "cxr version 4")
    assert path.read_bytes() == before


def test_lines_after_a_stray_quotation_mark_are_not_dropped(path: Path) -> None:
    write(path, A, B)
    before = path.read_text().replace("a.png", 'a".png')
    path.write_text(before)
    with pytest.raises(ResultsFileError, match="quotation mark is not closed"):
        ResultsFile(path, MODEL)
    assert path.read_text() == before


@pytest.mark.parametrize(
    "text",
    [
        "patient,age\n1,60\n",
        "patient,age",
        "file,size",
        "file",
        'patient,"age\n1,60\n',
        'file,probability,"\nmine\n',
        "patient,age\r1,60\r",
        "file,probability\r1,60\r",
        "patient\rage\n1\r60\n",
        "\n",
    ],
)
def test_refuses_what_is_no_file_of_answers(path: Path, text: str) -> None:
    path.parent.mkdir()
    path.write_bytes(text.encode())
    with pytest.raises(ResultsFileError, match="not a file of predictions"):
        ResultsFile(path, MODEL)
    assert path.read_bytes() == text.encode()


def test_names_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(ResultsFileError, match="cannot be written: Is a directory"):
        ResultsFile(tmp_path, MODEL)
