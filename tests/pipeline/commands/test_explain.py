"""`cxr explain` on the folder of a run."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import pytest
from click.testing import CliRunner, Result

from components.disclaimer import DISCLAIMER
from components.example_gen import record
from components.grad_cam import report as grad_cam_report
from components.report.figures import Source
from pipeline import cli
from tests.components.grad_cam import made, pages
from tests.components.report import samples

FOUND = "film <3> & ü.png"


def write_run(root: Path, index: dict[str, object]) -> None:
    explanations = root / "explanations"
    explanations.mkdir()
    (explanations / "cases.json").write_text(json.dumps(index))
    figures = samples.figures({"nih": 150})
    artifacts = {"explanations": Source(id=1, uri=str(explanations))}
    lineage = figures.lineage.model_copy(update={"artifacts": artifacts})
    folder = root / "runs/tiny/artifacts/EvaluationReport/report/7"
    folder.mkdir(parents=True)
    figures = figures.model_copy(update={"lineage": lineage})
    (folder / "figures.json").write_text(figures.model_dump_json())


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("work")
    films = [made.make_film(number, number % 2, "nih") for number in range(6)]
    examples = made.examples_artifact(root / "examples", films)
    model = made.model_artifact(root / "model")
    digest = films[3].features.feature[record.SHA256].bytes_list.value[0].decode()
    index = grad_cam_report.index(
        pages.a_report(
            pages.explained(filename=FOUND),
            sources={"examples": examples.uri, "model": model.uri},
            slices=[pages.performance(820)],
        )
    )
    index["cases"][0]["sha256"] = digest
    write_run(root, index)
    return root


def run(root: Path, *arguments: object, name: str = "tiny") -> Result:
    command = ["explain", name, "--runs", str(root / "runs"), *map(str, arguments)]
    return CliRunner().invoke(cli.cli, command)


def test_a_film_of_the_test_split(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.png"

    result = run(root, "--case", FOUND, "--out", out)

    assert result.exit_code == 0, result.output
    for said in (
        "true positive",
        "of pneumonia, at or above the operating point 0.500",
        "finds 80.0% of the test films with pneumonia",
        "lower left of the image",
        "Pneumonia, Effusion",
        "a missed case, among the furthest below the threshold",
        str(out),
        DISCLAIMER,
    ):
        assert said in result.output
    height, width = made.SHAPES[3]
    drawn = cv2.imread(str(out))
    assert drawn.shape[1] == round(768 * width / max(height, width))


def test_what_the_report_keeps_back_is_not_told_here(root: Path, tmp_path: Path) -> None:
    shown = run(root, "--case", FOUND, "--out", tmp_path / "out.png").output
    assert "Age in years" in shown
    path = root / "explanations" / "cases.json"
    index = path.read_text()
    path.write_text(json.dumps(json.loads(index) | {"redacted": ["age_years", "sex"]}))
    try:
        redacted = run(root, "--case", FOUND, "--out", tmp_path / "out.png").output
    finally:
        path.write_text(index)
    assert "Age in years" not in redacted
    assert "Sex" not in redacted
    assert "Findings" in redacted


def test_an_image_file_has_no_outcome(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = tmp_path / "mine.png"
    cv2.imwrite(str(image), made.draw_film(2, 0))
    monkeypatch.chdir(tmp_path)

    result = run(root, "--case", image)

    assert result.exit_code == 0, result.output
    assert "Outcome" not in result.output
    assert "below the operating point" in result.output
    assert (tmp_path / "mine_explained.png").is_file()


@pytest.mark.parametrize(
    ("arguments", "name", "said"),
    [
        (["--case", "none.png"], "tiny", "no film of that name in the test split"),
        (["--case", FOUND], "other", "no report of 'other'"),
        (["--case", FOUND, "--finding", "Gout"], "tiny", "no output 'Gout'; it has pneumonia"),
    ],
)
def test_mistakes_are_named(root: Path, arguments: list[str], name: str, said: str) -> None:
    result = run(root, *arguments, name=name)

    assert result.exit_code != 0
    assert said in str(result.exception)


def test_a_file_that_is_no_image_is_named(root: Path, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("no image")

    result = run(root, "--case", path)

    assert "image but text" in str(result.exception)


def test_a_run_of_another_version_says_so(tmp_path: Path) -> None:
    write_run(tmp_path, {"cases": []})

    assert "run the experiment again" in str(run(tmp_path, "--case", "a.png").exception)
