"""`cxr matrix` before it trains, and where the last run has a matrix already."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from components.cross_dataset import heads
from components.cross_dataset.matrix import Matrix, Row, measure_cell, pool
from pipeline import run_record
from pipeline.cli import cli
from pipeline.config import ConfigError, load_config
from pipeline.run_record import NodeRecord, Output

SETTINGS = ["--set", "trainer.weights=none"]


def make_matrix(seed: int) -> Matrix:
    """What a run of `both` with a seed may have found; here its figures do not matter."""
    labels, right = np.array([1, 1, 0, 0]), np.array([0.9, 0.4, 0.6, 0.1], np.float32)
    cells = tuple(
        measure_cell(name, labels, right, ["a", "b", "c", "d"], 0.5)
        for name in ("nih", "pediatric")
    )
    config = load_config("both", ["trainer.weights=none", f"trainer.seed={seed}"])
    row = Row(
        trained_on=("nih", "pediatric"), images=1234, positives=500, validation_images=9,
        threshold=0.5, chosen_by="so", cells=cells,
    )  # fmt: skip
    return Matrix(
        split="test",
        datasets=("nih", "pediatric"),
        rows=(row,),
        pooled=pool(
            ["nih", "nih", "pediatric", "pediatric"], labels, right, {"nih": 0.1, "pediatric": 0.7}
        ),
        settings=heads.deciding(config.trainer),
    )


@pytest.fixture
def last_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a run of `both`, whose matrix was made with seed 1."""
    runs = tmp_path / "runs"
    report = runs / "both" / "report"
    report.mkdir(parents=True)
    (report / "matrix.json").write_text(make_matrix(seed=1).model_dump_json())
    (runs / "both" / "metadata.sqlite").touch()

    def record(key: str, uri: str) -> NodeRecord:
        return NodeRecord(False, {key: Output(1, uri, {})})

    nodes = {
        "XrayExampleGen": record("examples", "/examples"),
        "Transform": record("transform_graph", "/graph"),
        "CrossDatasetMatrix": record("report", str(report)),
    }
    monkeypatch.setattr(run_record, "last_run", lambda *_: nodes)
    return runs


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["matrix", *map(str, arguments)])


def test_the_matrix_of_the_last_run_is_shown_and_written(
    last_run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    result = run("--runs", last_run, "--out", tmp_path / "out", *SETTINGS)
    assert result.exit_code == 0, result.exception
    shown = " ".join(capfd.readouterr().out.split())

    kept = make_matrix(seed=1)
    assert "nih and pediatric (1,234)" in shown
    assert str(kept.rows[0].cells[0].auc) in shown
    assert f"has {kept.pooled.dataset_identity}" in shown  # type: ignore[union-attr]
    assert Matrix.model_validate_json((tmp_path / "out" / "matrix.json").read_text()) == kept
    page = (tmp_path / "out" / "matrix.md").read_text()
    assert "`cxr matrix both --set trainer.weights=none`" in page
    assert "| nih and pediatric | 1234 (500) | pediatric | 4 (2) |" in page


def test_with_other_settings_heads_are_trained(
    last_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def measure(*arguments: Any) -> Matrix:
        asked.append(arguments)
        return make_matrix(seed=2)

    monkeypatch.setattr(heads, "measure", measure)
    other = ("--set", "trainer.seed=2")
    result = run("--runs", last_run, "--out", tmp_path / "out", *SETTINGS, *other)
    assert result.exit_code == 0, result.exception

    ((settings, config, examples, graph),) = asked
    assert settings.seed == 2
    assert config["labels"] == "pneumonia"
    assert (examples, graph) == ("/examples", "/graph")
    assert json.loads((tmp_path / "out" / "matrix.json").read_text())["settings"]["seed"] == 2


@pytest.mark.parametrize("experiment", ["pediatric", "nih_multilabel"])
def test_one_dataset_is_refused(experiment: str, tmp_path: Path) -> None:
    error = run(experiment, "--runs", tmp_path).exception

    assert isinstance(error, ConfigError)
    assert "takes two in data.datasets" in str(error)


def test_without_a_run_there_is_nothing_to_read(tmp_path: Path) -> None:
    error = run("--runs", tmp_path, *SETTINGS).exception

    assert isinstance(error, ConfigError)
    assert str(error) == f"no run of both in {tmp_path / 'both'}: cxr run both"


def test_a_run_that_did_not_get_so_far_is_named(
    last_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_record, "last_run", lambda *_: {"Transform": NodeRecord(False, {})})
    error = run("--runs", last_run, *SETTINGS).exception

    assert isinstance(error, ConfigError)
    assert "did not get as far as XrayExampleGen: cxr run both" in str(error)


@pytest.mark.parametrize("experiment", ["pediatric", "nih_multilabel"])
def test_the_setting_is_refused_where_there_is_one_dataset(experiment: str) -> None:
    with pytest.raises(ConfigError, match=r"cross_dataset\.enabled: .* takes two"):
        load_config(experiment, ["cross_dataset.enabled=true"])
