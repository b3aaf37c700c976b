"""Where the Evaluator's results are written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tfx.components.evaluator import executor as tfx_executor
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.dsl.io import fileio
from tfx.types import standard_artifacts

from components.evaluator.tfma_evaluator import Executor
from tests import stores


def written_to(monkeypatch: pytest.MonkeyPatch, root: str) -> str:
    """The URI of the evaluation that TFX's own Executor is given, and writes a file below."""
    told: list[str] = []

    def write(_: Any, inputs: Any, outputs: Any, properties: Any) -> None:
        (evaluation,) = outputs["evaluation"]
        told.append(evaluation.uri)
        if Path(evaluation.uri).is_dir():
            Path(evaluation.uri, "metrics").write_text("0.9")

    monkeypatch.setattr(tfx_executor.Executor, "Do", write)
    model, evaluation = standard_artifacts.Model(), standard_artifacts.ModelEvaluation()
    model.uri, evaluation.uri = f"{root}/model", f"{root}/evaluation"
    Executor(BaseBeamExecutor.Context()).Do({"model": [model]}, {"evaluation": [evaluation]}, {})
    assert evaluation.uri == f"{root}/evaluation"
    return told[0]


def test_on_google_s_store_workers_of_any_machine_write_in_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert written_to(monkeypatch, "gs://bucket/run") == "gs://bucket/run/evaluation"


def test_what_tensorflow_does_not_open_is_written_here_and_uploaded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with stores.s3_server():
        root = f"{stores.BUCKET}/run"
        with fileio.open(f"{root}/model/saved_model.pb", "w") as file:
            file.write("model")
        assert Path(written_to(monkeypatch, root)).is_absolute()
        with fileio.open(f"{root}/evaluation/metrics", "r") as file:
            assert file.read() == "0.9"
