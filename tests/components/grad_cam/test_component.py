import json

from tfx import v1 as tfx
from tfx.types import standard_artifacts

from components.grad_cam.artifacts import ExplanationReport
from components.grad_cam.component import GradCamReport
from components.grad_cam.settings import GradCamSettings


def test_settings_reach_the_node():
    settings = GradCamSettings(cases="all", named=("a.png",), redact=("sex",))
    channel = tfx.dsl.Channel(type=standard_artifacts.Examples)

    node = GradCamReport(
        examples=channel,
        model=tfx.dsl.Channel(type=standard_artifacts.Model),
        scores=channel,
        split="val",
        finding="Edema",
        settings=settings,
        code="abc",
    )

    assert GradCamSettings.model_validate_json(node.exec_properties["settings"]) == settings
    assert node.exec_properties["split"] == "val"
    assert node.exec_properties["finding"] == "Edema"
    assert node.outputs["report"].type is ExplanationReport


def importer(name, kind):
    return tfx.dsl.Importer(source_uri=f"gs://bucket/{name}", artifact_type=kind).with_id(name)


def test_compiles_for_kubeflow(tmp_path):
    kinds = {
        "examples": standard_artifacts.Examples,
        "model": standard_artifacts.Model,
        "scores": standard_artifacts.Examples,
        "evaluation": standard_artifacts.ModelEvaluation,
    }
    inputs = {name: importer(name, kind) for name, kind in kinds.items()}
    node = GradCamReport(**{name: one.outputs["result"] for name, one in inputs.items()})
    compiled = tmp_path / "pipeline.json"

    tfx.orchestration.experimental.KubeflowV2DagRunner(
        config=tfx.orchestration.experimental.KubeflowV2DagRunnerConfig(default_image="image"),
        output_filename=str(compiled),
    ).run(
        tfx.dsl.Pipeline(
            pipeline_name="pipeline",
            pipeline_root="gs://bucket",
            components=[*inputs.values(), node],
        )
    )

    tasks = json.loads(compiled.read_text())["pipelineSpec"]["root"]["dag"]["tasks"]
    assert set(tasks["GradCamReport"]["inputs"]["artifacts"]) == set(kinds)
