"""The node's interface."""

import json

from tfx import v1 as tfx
from tfx.types import standard_artifacts

from components.baseline_probe.artifacts import ProbeReport
from components.baseline_probe.component import BaselineProbe


def test_settings_reach_the_node():
    examples = tfx.dsl.Channel(type=standard_artifacts.Examples)
    node = BaselineProbe(examples, labels="findings", image_size=128, code="abc")

    assert node.exec_properties == {"labels": "findings", "image_size": 128, "code": "abc"}
    assert node.outputs["report"].type is ProbeReport


def test_compiles_for_kubeflow(tmp_path):
    examples = tfx.dsl.Importer(
        source_uri="gs://bucket/examples", artifact_type=standard_artifacts.Examples
    ).with_id("examples")
    node = BaselineProbe(examples.outputs["result"])
    compiled = tmp_path / "pipeline.json"

    tfx.orchestration.experimental.KubeflowV2DagRunner(
        config=tfx.orchestration.experimental.KubeflowV2DagRunnerConfig(default_image="image"),
        output_filename=str(compiled),
    ).run(
        tfx.dsl.Pipeline(
            pipeline_name="pipeline", pipeline_root="gs://bucket", components=[examples, node]
        )
    )

    tasks = json.loads(compiled.read_text())["pipelineSpec"]["root"]["dag"]["tasks"]
    assert "BaselineProbe" in tasks
