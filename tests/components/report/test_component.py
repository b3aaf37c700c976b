"""The node in a pipeline."""

from __future__ import annotations

import json

from tfx import v1 as tfx
from tfx.types import standard_artifacts

import components
from components.data_gate.artifacts import DataQualityReport
from components.evaluator.artifacts import Judgement
from components.example_gen.artifacts import IngestReport
from components.report.artifacts import ModelReport
from components.report.component import EvaluationReport

NEEDED = {
    "judgement": Judgement,
    "scores": standard_artifacts.Examples,
    "model": standard_artifacts.Model,
    "model_run": standard_artifacts.ModelRun,
    "ingest": IngestReport,
    "data_report": DataQualityReport,
}


def test_settings_reach_the_node_and_most_inputs_may_be_missing() -> None:
    node = EvaluationReport(
        **{name: tfx.dsl.Channel(type=kind) for name, kind in NEEDED.items()},
        lineage={"experiment": "pediatric", "versions": {"tfx": "1.21.0"}},
        code="abc",
    )

    assert json.loads(node.exec_properties["lineage"])["experiment"] == "pediatric"
    assert node.exec_properties["code"] == "abc"
    assert set(node.inputs) == set(NEEDED)
    assert node.outputs["report"].type is ModelReport


def test_containers_find_the_artifact_by_its_type() -> None:
    package, name = ModelReport.TYPE_NAME.split(".")
    assert package == components.__name__
    assert getattr(components, name) is ModelReport
