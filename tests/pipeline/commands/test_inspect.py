"""`cxr data inspect` on real folders."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from components.example_gen.record import PATHOLOGIES
from pipeline.cli import cli
from tests.components.example_gen.bucket import remote
from tests.components.example_gen.samples import (
    encode,
    film,
    nih_row,
    write,
    write_nih_table,
    write_pediatric,
)

FINDINGS = ("No Finding", "Pneumonia", "Effusion|Mass", "Mass")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    root = tmp_path / "nih"
    names = [f"{number:08d}_000.png" for number in range(len(FINDINGS))]
    write_nih_table(
        root,
        [
            nih_row(name, findings=findings, patient=number)
            for number, (name, findings) in enumerate(zip(names, FINDINGS, strict=True))
        ],
    )
    for number, name in enumerate(names):
        write(root / "images" / name, encode(film(number)))
    return tmp_path


def inspect(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["data", "inspect", *map(str, arguments)])


def test_other_findings_are_out_of_scope_of_pneumonia(data: Path) -> None:
    (counts,) = json.loads(inspect(data, "--json").stdout)
    assert counts["classes"] == {"normal": 1, "pneumonia": 1}
    assert counts["left_out"] == {"other finding, neither normal nor pneumonia": 2}


def test_as_labels_all_findings_are_counted(data: Path) -> None:
    (counts,) = json.loads(inspect(data, "--labels", "findings", "--json").stdout)
    assert counts["classes"] == {"no finding": 1, "any finding": 3}
    assert counts["findings"] == {"Mass": 2, "No Finding": 1, "Pneumonia": 1, "Effusion": 1}
    assert counts["left_out"] == {}

    shown = inspect(data, "--labels", "findings").stdout
    for name in PATHOLOGIES:
        assert name.replace("_", " ") in shown
    assert "Hernia" not in inspect(data).stdout


def test_a_dataset_that_does_not_know_them_is_passed_over(data: Path) -> None:
    write_pediatric(data, 8)
    result = inspect(data, "--labels", "findings", "--json")
    assert [one["dataset"] for one in json.loads(result.stdout)] == ["nih"]
    assert "the pediatric dataset tells No Finding and Pneumonia alone" in result.stderr


def test_a_store_is_listed_as_a_folder_is(data: Path) -> None:
    (here,), (there,) = (
        json.loads(inspect(folder, "--json").stdout) for folder in (data, remote(data))
    )
    assert there.pop("root") == f"{remote(data)}/nih"
    assert here.pop("root") == f"{data}/nih"
    assert there == here


def test_a_folder_that_is_nowhere_is_named(data: Path) -> None:
    assert "nowhere" in inspect(data / "nowhere").stderr
    assert f"{remote(data)}/nowhere" in str(inspect(f"{remote(data)}/nowhere").exception)
