"""`cxr report` on a folder of runs."""

from __future__ import annotations

import os
import subprocess
import sys
import webbrowser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from components.disclaimer import DISCLAIMER
from components.report.figures import Source
from components.scorer import scores as scores_module
from pipeline.cli import cli
from tests.components.report import samples


def write(runs: Path, experiment: str, number: int, time: int, **changes: Any) -> Path:
    folder = runs / experiment / "artifacts/EvaluationReport/report" / str(number)
    folder.mkdir(parents=True)
    figures = samples.figures({"nih": 150}, **changes)
    scores = {"scores": Source(id=1, uri=str(runs / f"scores/{number}"))}
    lineage = figures.lineage.model_copy(update={"artifacts": scores})
    path = folder / "figures.json"
    path.write_text(figures.model_copy(update={"lineage": lineage}).model_dump_json())
    (folder / "report.html").write_text("<p>report</p>")
    os.utime(path, (time, time))
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("work") / "runs"
    write(root, "nih", 9, time=1_000_000)
    write(root, "nih", 10, time=2_000_000, skill=5.0, blessed=True)
    write(root, "both", 4, time=1_500_000)
    return root


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["report", *map(str, arguments)], env={"COLUMNS": "140"})


class TestList:
    def test_newest_first_with_verdict_and_auc(self, runs: Path) -> None:
        result = run("list", "--runs", runs)

        assert result.exit_code == 0, result.output
        rows = [line for line in result.output.splitlines() if "nih" in line]
        assert [row.split("│")[1].strip() for row in rows] == ["nih/10", "both/4", "nih/9"]
        assert "✓ blessed" in rows[0]
        assert "✕ refused: shortcut" in rows[1]
        auc = samples.figures({"nih": 150}).headlines()[0].findings[0].auc
        assert f"nih {auc}" in rows[2]

    def test_nothing_there_is_told(self, tmp_path: Path) -> None:
        result = run("list", "--runs", tmp_path)
        assert "Run an experiment first" in str(result.exception)


class TestOpen:
    @pytest.fixture
    def opened(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        urls: list[str] = []
        monkeypatch.setattr(webbrowser, "open", urls.append)
        monkeypatch.setenv("DISPLAY", ":0")
        return urls

    @pytest.mark.parametrize(
        ("arguments", "expected"),
        [([], "nih/10"), (["nih"], "nih/10"), (["nih/9"], "nih/9"), (["both"], "both/4")],
    )
    def test_the_newest_or_the_one_that_is_named(
        self, runs: Path, opened: list[str], arguments: list[str], expected: str
    ) -> None:
        result = run("open", *arguments, "--runs", runs)

        assert result.exit_code == 0, result.output
        experiment, number = expected.split("/")
        path = runs / experiment / "artifacts/EvaluationReport/report" / number / "report.html"
        assert result.output.strip() == str(path.resolve())
        assert opened == [path.resolve().as_uri()]

    def test_a_path_will_do(self, runs: Path, opened: list[str]) -> None:
        assert run("open", runs / "nih").output.strip().endswith("report/10/report.html")

    def test_without_a_display_the_path_is_printed(
        self, runs: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setattr(sys, "platform", "linux")

        result = run("open", "nih", "--runs", runs)

        assert result.output.strip().endswith("report/10/report.html")
        assert not opened

    def test_an_unknown_run_is_told_where_it_was_looked_for(self, runs: Path) -> None:
        result = run("open", "atlantis", "--runs", runs)
        assert result.exit_code != 0
        assert f"looked in {runs / 'atlantis'}" in str(result.exception)


class TestCompare:
    @pytest.fixture
    def same_images(self, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        first = samples.scores({"nih": 150})
        second = samples.scores({"nih": 150}, skill=5.0)
        assert np.array_equal(first.labels, second.labels)
        found = {str(runs / "scores/9"): first, str(runs / "scores/10"): second}
        for uri in found:
            Path(uri).mkdir(parents=True, exist_ok=True)
        monkeypatch.setattr(scores_module, "read_scores", lambda uri, split: found[uri])

    @pytest.mark.usefixtures("same_images")
    def test_markdown_with_differences_and_the_paired_test(self, runs: Path) -> None:
        result = run("compare", "nih/9", "nih/10", "--markdown", "--runs", runs)

        assert result.exit_code == 0, result.output
        lines = result.output.splitlines()
        assert lines[0] == "| dataset | figure | nih/9 | nih/10 | difference |"
        before, after = (
            samples.figures({"nih": 150}, skill=skill).headlines()[0].findings[0].auc
            for skill in (3.0, 5.0)
        )
        assert before is not None
        assert after is not None
        change = after.estimate - before.estimate
        assert f"| nih | AUC | {before} | {after} | {change:+.3f} |" in lines
        assert f"the same 150 images: AUC differs by {change:+.3f}" in result.output
        assert "(DeLong, paired)" in result.output
        assert DISCLAIMER in result.output

    @pytest.mark.usefixtures("same_images")
    def test_as_a_table(self, runs: Path) -> None:
        result = run("compare", "nih/9", "nih/10", "--runs", runs)
        assert result.exit_code == 0, result.output
        assert "sensitivity" in result.output

    def test_scores_that_are_gone_are_told(self, runs: Path) -> None:
        result = run("compare", "both", "both", "--runs", runs)
        assert result.exit_code == 0, result.output
        assert f"the scores are no longer in {runs}/scores/4." in result.output


def test_a_report_of_another_version_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "nih/artifacts/EvaluationReport/report/1"
    folder.mkdir(parents=True)
    (folder / "figures.json").write_text('{"gates": []}')
    assert "written by another version" in str(run("list", "--runs", tmp_path).exception)


def test_help_waits_for_no_heavy_import() -> None:
    code = """
import sys
from pipeline.cli import cli
cli(["report", "list", "--help"], standalone_mode=False)
print(sorted({"tensorflow", "tfx", "numpy", "pydantic", "matplotlib"} & set(sys.modules)))
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip().endswith("[]")


def test_reports_are_listed_without_tensorflow() -> None:
    code = """
import sys
import components.report.comparison
print(sorted({"tensorflow", "tfx", "matplotlib"} & set(sys.modules)))
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"
