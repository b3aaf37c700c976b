import json

import pytest
from tfx import v1 as tfx
from tfx.types import standard_artifacts

from components.grad_cam.artifacts import ExplanationReport
from components.grad_cam.component import GradCamReport


def channels():
    return {
        "examples": tfx.dsl.Channel(type=standard_artifacts.Examples),
        "model": tfx.dsl.Channel(type=standard_artifacts.Model),
    }


def test_settings_reach_the_node():
    node = GradCamReport(
        **channels(), split="val", finding="Edema", cases=3, seed=7, opacity=0.4, code="abc"
    )

    assert node.exec_properties == {
        "split": "val",
        "finding": "Edema",
        "cases": 3,
        "seed": 7,
        "opacity": 0.4,
        "code": "abc",
    }
    assert node.outputs["report"].type is ExplanationReport


@pytest.mark.parametrize("settings", [{"cases": 0}, {"opacity": 0.0}, {"opacity": 1.5}])
def test_settings_out_of_range_are_refused_at_once(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        GradCamReport(**channels(), **settings)


def test_compiles_for_kubeflow(tmp_path):
    examples = tfx.dsl.Importer(
        source_uri="gs://bucket/examples", artifact_type=standard_artifacts.Examples
    ).with_id("examples")
    model = tfx.dsl.Importer(
        source_uri="gs://bucket/model", artifact_type=standard_artifacts.Model
    ).with_id("model")
    node = GradCamReport(examples=examples.outputs["result"], model=model.outputs["result"])
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

    assert (
        "GradCamReport" in json.loads(compiled.read_text())["pipelineSpec"]["root"]["dag"]["tasks"]
    )
