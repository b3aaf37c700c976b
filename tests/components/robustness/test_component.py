"""The node's interface."""

import json

import pytest
from tfx import v1 as tfx
from tfx.types import standard_artifacts

from components.robustness.artifacts import RobustnessReport
from components.robustness.component import Robustness
from components.robustness.settings import RobustnessSettings


def test_settings_reach_the_node():
    node = Robustness(
        tfx.dsl.Channel(type=standard_artifacts.Examples),
        tfx.dsl.Channel(type=standard_artifacts.Model),
        split="val",
        labels="findings",
        settings=RobustnessSettings(enabled=True, severities=2, max_images=7),
        code="abc",
    )

    assert node.exec_properties == {
        "split": "val",
        "labels": "findings",
        "settings": '{"severities":2,"max_images":7,"seed":1}',
        "code": "abc",
    }
    assert node.outputs["report"].type is RobustnessReport


@pytest.mark.parametrize("wrong", [{"severities": 4}, {"max_images": 0}, {"seed": -1}])
def test_settings_out_of_range_are_refused_at_once(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        RobustnessSettings(**wrong)


def test_compiles_for_kubeflow(tmp_path):
    examples = tfx.dsl.Importer(
        source_uri="gs://bucket/examples", artifact_type=standard_artifacts.Examples
    ).with_id("examples")
    model = tfx.dsl.Importer(
        source_uri="gs://bucket/model", artifact_type=standard_artifacts.Model
    ).with_id("model")
    node = Robustness(examples.outputs["result"], model.outputs["result"])
    compiled = tmp_path / "pipeline.json"

    tfx.orchestration.experimental.KubeflowV2DagRunner(
        config=tfx.orchestration.experimental.KubeflowV2DagRunnerConfig(default_image="image"),
        output_filename=str(compiled),
    ).run(
        tfx.dsl.Pipeline(
            pipeline_name="pipeline",
            pipeline_root="gs://bucket",
            components=[examples, model, node],
        )
    )

    tasks = json.loads(compiled.read_text())["pipelineSpec"]["root"]["dag"]["tasks"]
    assert "Robustness" in tasks
