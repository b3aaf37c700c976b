"""The nodes' interfaces."""

import json
from typing import Any

import pytest
from tfx import v1 as tfx
from tfx.types import standard_artifacts

from components.data_gate.artifacts import DataQualityReport, StatisticsBaseline
from components.data_gate.component import DataGate, DataReport
from components.example_gen.artifacts import IngestReport

INPUTS = {
    "statistics": standard_artifacts.ExampleStatistics,
    "anomalies": standard_artifacts.ExampleAnomalies,
    "schema": standard_artifacts.Schema,
    "ingest": IngestReport,
}


def channels() -> dict[str, Any]:
    return {name: tfx.dsl.Channel(type=kind) for name, kind in INPUTS.items()}


def test_settings_reach_the_report() -> None:
    node = DataReport(**channels(), settings={"min_images": 7, "max_skew": 0.3}, code="abc")
    assert node.exec_properties == {
        "settings": '{"max_skew": 0.3, "min_images": 7}',
        "code": "abc",
    }
    assert node.outputs["report"].type is DataQualityReport


def test_what_to_do_on_failure_reaches_the_gate() -> None:
    report = DataReport(**channels()).outputs["report"]
    statistics = channels()["statistics"]
    node = DataGate(report, statistics, on_failure="warn", code="abc")
    assert node.exec_properties == {"on_failure": "warn", "code": "abc"}
    assert node.outputs["baseline"].type is StatisticsBaseline
    with pytest.raises(ValueError, match="on_failure must be fail or warn, not ignore"):
        DataGate(report, statistics, on_failure="ignore")


def test_compiles_for_kubeflow(tmp_path):
    importers = {
        name: tfx.dsl.Importer(source_uri=f"gs://bucket/{name}", artifact_type=kind).with_id(name)
        for name, kind in INPUTS.items()
    }
    last_baseline = tfx.dsl.Resolver(
        strategy_class=tfx.dsl.experimental.LatestArtifactStrategy,
        baseline=tfx.dsl.Channel(type=StatisticsBaseline),
    ).with_id("LastBaseline")
    report = DataReport(
        **{name: node.outputs["result"] for name, node in importers.items()},
        baseline=last_baseline.outputs["baseline"],
    )
    gate = DataGate(report.outputs["report"], importers["statistics"].outputs["result"])
    compiled = tmp_path / "pipeline.json"

    tfx.orchestration.experimental.KubeflowV2DagRunner(
        config=tfx.orchestration.experimental.KubeflowV2DagRunnerConfig(default_image="image"),
        output_filename=str(compiled),
    ).run(
        tfx.dsl.Pipeline(
            pipeline_name="pipeline",
            pipeline_root="gs://bucket",
            components=[*importers.values(), last_baseline, report, gate],
        )
    )

    tasks = json.loads(compiled.read_text())["pipelineSpec"]["root"]["dag"]["tasks"]
    assert {"LastBaseline", "DataReport", "DataGate"} <= set(tasks)
    assert "baseline" in tasks["DataReport"]["inputs"]["artifacts"]
