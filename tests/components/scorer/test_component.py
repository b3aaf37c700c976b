import json

import pytest
from tfx import v1 as tfx
from tfx.types import standard_artifacts

from components.scorer.component import Scorer
from components.scorer.settings import ScorerSettings


def test_settings_reach_the_node() -> None:
    node = Scorer(
        examples=tfx.dsl.Channel(type=standard_artifacts.Examples),
        model=tfx.dsl.Channel(type=standard_artifacts.Model),
        settings=ScorerSettings(batch_size=7),
        code="abc",
    )

    assert node.exec_properties == {"settings": '{"batch_size":7}', "code": "abc"}
    assert set(node.inputs) == {"examples", "model"}
    assert node.outputs["scores"].type is standard_artifacts.Examples


@pytest.mark.parametrize("compared", [False, True])
def test_compiles_for_kubeflow(compared: bool, tmp_path) -> None:
    importers = [
        tfx.dsl.Importer(source_uri=f"gs://bucket/{name}", artifact_type=kind).with_id(name)
        for name, kind in (
            ("examples", standard_artifacts.Examples),
            ("model", standard_artifacts.Model),
            ("last", standard_artifacts.Model),
        )
    ]
    examples, model, last = (importer.outputs["result"] for importer in importers)
    node = Scorer(examples=examples, model=model, last_model=last if compared else None)
    compiled = tmp_path / "pipeline.json"

    tfx.orchestration.experimental.KubeflowV2DagRunner(
        config=tfx.orchestration.experimental.KubeflowV2DagRunnerConfig(default_image="image"),
        output_filename=str(compiled),
    ).run(
        tfx.dsl.Pipeline(
            pipeline_name="pipeline",
            pipeline_root="gs://bucket",
            components=[*importers, node],
        )
    )

    tasks = json.loads(compiled.read_text())["pipelineSpec"]["root"]["dag"]["tasks"]
    inputs = {"examples", "model"} | ({"last_model"} if compared else set())
    assert set(tasks["Scorer"]["inputs"]["artifacts"]) == inputs
