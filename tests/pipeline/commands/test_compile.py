"""`cxr compile`: what it says, and what it refuses."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline import cli

CLAIM = ("--set", "kubeflow.volumes=[{claim: x-rays, path: /data}]")


def cxr_compile(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["cxr", "compile", *arguments])
    try:
        cli.main()
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def pushed_to(tasks: dict[str, Any]) -> str:
    destination = tasks["Pusher"]["inputs"]["parameters"]["push_destination"]
    told = json.loads(destination["runtimeValue"]["constant"])
    return told["filesystem"]["base_directory"]


def test_it_says_that_data_is_read_anew(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "made" / "pipeline.yaml"
    # What has that name on this machine need not be the cluster's.
    data = tmp_path / "data"
    data.mkdir()
    places = ("--pipeline-root", "gs://bucket/cxr/", "--data-root", str(data))
    places += ("--set", f"kubeflow.volumes=[{{claim: x-rays, path: {data}}}]")
    assert cxr_compile(monkeypatch, "pediatric", *places, "-o", str(file)) == 0
    said = capfd.readouterr()
    assert "see --local-data" in said.out
    assert "not compared with the one blessed last" in said.err
    spec, _ = yaml.safe_load_all(file.read_text())
    assert spec["defaultPipelineRoot"] == "gs://bucket/cxr"
    tasks = spec["components"]["tfx-dag"]["dag"]["tasks"]
    assert pushed_to(tasks) == "gs://bucket/cxr/cxr-pediatric/serving/cxr"


def test_it_says_what_vertex_is_not_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "pipeline.yaml"
    arguments = ("--runner", "vertex", "--pipeline-root", "gs://bucket/cxr", "-o", str(file))
    more = ("--set", "kubeflow.defaults.cpu=2", "--serving-root", "gs://models")
    assert cxr_compile(monkeypatch, "pediatric", *arguments, *more) == 0
    said = capfd.readouterr()
    assert "Vertex does not take them" in said.out
    assert "not compared with the one blessed last" in said.err
    (spec,) = yaml.safe_load_all(file.read_text())
    assert pushed_to(spec["root"]["dag"]["tasks"]) == "gs://models/cxr"


def test_it_says_that_weights_are_read_anew(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    places = ("--pipeline-root", "gs://bucket/cxr", *CLAIM)
    weights = ("--set", "trainer.weights=/data/mine.weights.h5")
    file = tmp_path / "pipeline.yaml"
    assert cxr_compile(monkeypatch, "pediatric", *places, *weights, "-o", str(file)) == 0
    assert "/data/mine.weights.h5 is not seen from here" in capfd.readouterr().out


def test_a_folder_of_this_machine_is_no_root_of_a_clusters_pipeline(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "pipeline.yaml"
    wrong = ("--pipeline-root", str(tmp_path), "-o", str(file))
    assert cxr_compile(monkeypatch, "pediatric", *wrong) == 2
    assert "give gs://BUCKET/FOLDER or s3://" in capfd.readouterr().err
    assert not file.exists()
