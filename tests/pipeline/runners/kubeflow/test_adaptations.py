"""Each adaptation alone, on as small a spec as shows it."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from pipeline.runners.kubeflow import adaptations
from pipeline.runners.kubeflow.parameters import RuntimeParameter

STEPS = RuntimeParameter("steps", "NUMBER_INTEGER", 0, "Train", "How many.")
WORDS = RuntimeParameter("words", "STRING", "", None, "Which.")
EXAMPLES = {"artifactType": {"instanceSchema": "title: tfx.Examples\ntype: object\n"}}
REPORT = {"artifactType": {"instanceSchema": "title: components.Report\ntype: object\n"}}


def component(node: str, **definitions: Any) -> dict[str, Any]:
    return {"executorLabel": f"{node}_executor", **definitions}


def task(node: str) -> dict[str, Any]:
    return {"componentRef": {"name": node}}


def make_spec() -> dict[str, Any]:
    read = component("Read", outputDefinitions={"artifacts": {"examples": EXAMPLES}})
    train = component(
        "Train",
        inputDefinitions={"artifacts": {"examples": EXAMPLES}},
        outputDefinitions={"artifacts": {"report": REPORT}},
    )
    args = ["--executor_class_path", "a.B", "--direct_running_mode=in_memory", "--experiments=a"]
    args += ["--direct_num_workers=1", "--direct_running_mode=multi_threading", "--experiments=b"]
    spec = {
        "components": {"Read": read, "Train": train},
        "root": {"dag": {"tasks": {"Read": task("Read"), "Train": task("Train")}}},
        "deploymentSpec": {
            "executors": {
                f"{node}_executor": {"container": {"args": list(args)}}
                for node in ("Read", "Train")
            }
        },
    }
    return json.loads(json.dumps(spec))  # nothing stands in two places


@pytest.fixture
def spec() -> dict[str, Any]:
    return make_spec()


@pytest.fixture
def nested(spec: dict[str, Any]) -> dict[str, Any]:
    """The same with an exit handler beside it."""
    spec["components"]["tfx-dag"] = {"dag": spec["root"]["dag"]}
    spec["components"]["Tell"] = component("Tell")
    spec["root"] = {"dag": {"tasks": {"tfx-dag": task("tfx-dag"), "Tell": task("Tell")}}}
    return spec


def arguments(spec: dict[str, Any], node: str) -> list[str]:
    return spec["deploymentSpec"]["executors"][f"{node}_executor"]["container"]["args"]


def test_nothing_is_changed_in_place(nested: dict[str, Any]) -> None:
    before = copy.deepcopy(nested)
    adaptations.carry_types(nested)
    adaptations.use_system_types(nested)
    adaptations.add_parameters(nested, [STEPS, WORDS])
    adaptations.set_pipeline_root(nested, "s3://bucket")
    assert nested == before


def test_types_that_kubeflow_loses_travel_in_the_arguments(spec: dict[str, Any]) -> None:
    args = arguments(adaptations.carry_types(spec), "Train")
    assert args[:3] == ["--node", "Train", "--json_serialized_outputs_spec_args"]
    assert json.loads(args[3]) == {"artifacts": {"report": REPORT}}
    assert args[4:] == arguments(spec, "Train")


def test_artifacts_are_typed_as_kubeflows(spec: dict[str, Any]) -> None:
    adapted = adaptations.use_system_types(spec)["components"]["Train"]
    assert adapted["inputDefinitions"]["artifacts"]["examples"]["artifactType"] == {
        "schemaTitle": "system.Dataset",
        "schemaVersion": "0.0.1",
    }
    report = adapted["outputDefinitions"]["artifacts"]["report"]["artifactType"]
    assert report["schemaTitle"] == "system.Artifact"


def test_parameters_have_defaults_and_reach_their_nodes(spec: dict[str, Any]) -> None:
    adapted = adaptations.add_parameters(spec, [STEPS, WORDS])
    declared = adapted["root"]["inputDefinitions"]["parameters"]
    assert declared["steps"] == {
        "parameterType": "NUMBER_INTEGER",
        "defaultValue": 0,
        "isOptional": True,
        "description": "How many.",
    }
    tasks = adapted["root"]["dag"]["tasks"]
    assert tasks["Read"]["inputs"]["parameters"] == {
        "cxr_words": {"componentInputParameter": "words"}
    }
    assert tasks["Train"]["inputs"]["parameters"] == {
        "cxr_words": {"componentInputParameter": "words"},
        "cxr_steps": {"componentInputParameter": "steps"},
    }
    train = adapted["components"]["Train"]["inputDefinitions"]["parameters"]
    assert train.keys() == {"cxr_words", "cxr_steps"}


def test_an_inner_dag_is_handed_the_parameters_of_the_whole(nested: dict[str, Any]) -> None:
    adapted = adaptations.add_parameters(nested, [STEPS])
    outer = adapted["root"]["dag"]["tasks"]
    assert outer["tfx-dag"]["inputs"]["parameters"] == {
        "steps": {"componentInputParameter": "steps"}
    }
    # The exit handler is none of the pipeline's nodes.
    assert "inputs" not in outer["Tell"]
    inner = adapted["components"]["tfx-dag"]
    assert inner["inputDefinitions"]["parameters"].keys() == {"steps"}
    assert inner["dag"]["tasks"]["Train"]["inputs"]["parameters"] == {
        "cxr_steps": {"componentInputParameter": "steps"}
    }


def test_the_pipeline_root_is_the_default_of_its_runs(spec: dict[str, Any]) -> None:
    assert adaptations.set_pipeline_root(spec, "s3://b/r")["defaultPipelineRoot"] == "s3://b/r"


def test_whole_numbers_are_written_without_a_point() -> None:
    value = adaptations.whole_numbers({"a": [1.0, 0.5, {"b": 224.0}], "c": True, "d": "1.0"})
    assert json.dumps(value) == '{"a": [1, 0.5, {"b": 224}], "c": true, "d": "1.0"}'
