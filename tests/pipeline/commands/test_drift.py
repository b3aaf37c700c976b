"""`cxr drift`: mistakes of its user. What it finds is in the tests of the Trainer's monitoring."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from components.drift.comparison import Comparison
from components.drift.requests import RequestLogError
from pipeline.cli import cli
from pipeline.commands.drift import NoStatisticsError, sentences
from serving.server.request_log import RequestLog


@pytest.fixture
def log(tmp_path: Path) -> Path:
    with RequestLog(tmp_path / "log") as requests:
        requests.record("cxr", 1, {"mean": [0.5]})
    return tmp_path / "log"


def test_a_model_without_statistics_is_named(log: Path, tiny_model_dir: Path) -> None:
    with pytest.raises(NoStatisticsError, match="train it again"):
        CliRunner().invoke(
            cli, ["drift", str(log), "--model", str(tiny_model_dir)], catch_exceptions=False
        )


def test_a_log_of_another_version_is_refused(
    log: Path, tiny_model_dir: Path, tmp_path: Path
) -> None:
    other = tmp_path / "cxr" / "2"
    shutil.copytree(tiny_model_dir / "1", other)
    (other / "assets.extra" / "training_statistics.pb").write_bytes(b"")

    with pytest.raises(RequestLogError, match=r"it holds cxr version 1 \(1\)"):
        CliRunner().invoke(cli, ["drift", str(log), "--model", str(other)], catch_exceptions=False)


def test_a_folder_that_no_server_has_is_refused(
    log: Path, tiny_model_dir: Path, tmp_path: Path
) -> None:
    artifact = tmp_path / "Format-Serving"
    shutil.copytree(tiny_model_dir / "1", artifact)

    found = CliRunner().invoke(cli, ["drift", str(log), "--model", str(artifact)])

    assert found.exit_code == 2
    assert "its name is no number" in found.output


def test_a_finding_that_moved_is_named_and_prevalence_is_thought_of() -> None:
    one = Comparison("probability/Pleural_Thickening", 500, 300, 0.125, 0.25, 0.3, 0.1)

    told = sentences([one])

    assert told[0].startswith(
        "MOVED: the probability of Pleural Thickening rose from 0.125 to 0.25 (medians of 500 films"
    )
    assert "fewer or more of the patients are ill" in told[-1]
