"""What makes of TFX's intermediate representation one that open-source Kubeflow runs.

Each function takes the pipeline spec in its JSON form (schema 2.1) and returns another one. What
they are for was read in TFX 1.21 and Kubeflow Pipelines 2.16; see docs/kubeflow.md.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Iterator
from typing import Any

from pipeline.runners.kubeflow.parameters import RuntimeParameter

Spec = dict[str, Any]

# TFX's name of the inner pipeline, where there is an exit handler beside it.
INNER_DAG = "tfx-dag"

_SYSTEM_TYPES = {
    "tfx.Examples": "system.Dataset",
    "tfx.Model": "system.Model",
    "tfx.PushedModel": "system.Model",
}
_ANY_ARTIFACT = "system.Artifact"


def nodes_dag(spec: Spec) -> Spec:
    """The component whose DAG holds the pipeline's nodes."""
    return spec["components"].get(INNER_DAG, spec["root"])


def dags(spec: Spec) -> Iterator[tuple[str, Spec]]:
    """The name and the component of each DAG."""
    yield "root", spec["root"]
    yield from ((name, one) for name, one in spec["components"].items() if "dag" in one)


def containers(spec: Spec) -> Iterator[tuple[str, Spec, Spec]]:
    """The id, the component and the container of each node that runs in one."""
    executors = spec["deploymentSpec"]["executors"]
    for node, component in spec["components"].items():
        executor = executors.get(component.get("executorLabel"), {})
        if "container" in executor:
            yield node, component, executor["container"]


def carry_types(spec: Spec) -> Spec:
    """TFX's types of the outputs, and the node's id, as arguments.

    Kubeflow's driver hands artifacts over without their types, whose classes TFX needs (see
    tensorflow/tfx#7768); of the inputs TFX itself passes them.
    """
    spec = copy.deepcopy(spec)
    for node, component, container in containers(spec):
        outputs = json.dumps(component.get("outputDefinitions", {}), sort_keys=True)
        # With its id in it no two nodes share a container, and Argo keeps one for each.
        ours = ["--node", node, "--json_serialized_outputs_spec_args", outputs]
        container["args"] = ours + container["args"]
    return spec


def use_system_types(spec: Spec) -> Spec:
    """`schemaTitle: system.*` instead of TFX's own schemas, which only Vertex reads."""
    spec = copy.deepcopy(spec)
    for component in spec["components"].values():
        for side in ("inputDefinitions", "outputDefinitions"):
            for artifact in component.get(side, {}).get("artifacts", {}).values():
                title = _title(artifact["artifactType"])
                artifact["artifactType"] = {
                    "schemaTitle": _SYSTEM_TYPES.get(title, _ANY_ARTIFACT),
                    "schemaVersion": "0.0.1",
                }
    return spec


def _title(artifact_type: Spec) -> str:
    """TFX's name of a type: `title: tfx.Examples` is the first line of its schema."""
    first = artifact_type["instanceSchema"].partition("\n")[0]
    return first.removeprefix("title:").strip()


def add_parameters(spec: Spec, parameters: Iterable[RuntimeParameter]) -> Spec:
    """Runtime parameters, with their defaults, which TFX would lose, for the nodes they concern."""
    spec = copy.deepcopy(spec)
    root, dag = spec["root"], nodes_dag(spec)
    for parameter in parameters:
        definition = {
            "parameterType": parameter.type,
            "defaultValue": parameter.default,
            "isOptional": True,
        }
        _definitions(root)[parameter.name] = definition | {"description": parameter.description}
        if dag is not root:
            # A DAG sees its own parameters only.
            _definitions(dag)[parameter.name] = definition
            _hand_over(root["dag"]["tasks"][INNER_DAG], parameter.name, parameter.name)
        for task in dag["dag"]["tasks"].values():
            component = task["componentRef"]["name"]
            if parameter.node in (None, component):
                _definitions(spec["components"][component])[parameter.task_parameter] = definition
                _hand_over(task, parameter.task_parameter, parameter.name)
    return spec


def _hand_over(task: Spec, own: str, outer: str) -> None:
    """Give a task a parameter of the DAG that it is in."""
    parameters = task.setdefault("inputs", {}).setdefault("parameters", {})
    parameters[own] = {"componentInputParameter": outer}


def _definitions(component: Spec) -> Spec:
    return component.setdefault("inputDefinitions", {}).setdefault("parameters", {})


def set_pipeline_root(spec: Spec, pipeline_root: str) -> Spec:
    """Where artifacts go unless a run says otherwise: TFX leaves it out of the spec."""
    return copy.deepcopy(spec) | {"defaultPipelineRoot": pipeline_root}


def whole_numbers(value: Any) -> Any:
    """The document with whole numbers written as such: in a protobuf `Value` all are floats."""
    if isinstance(value, dict):
        return {key: whole_numbers(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [whole_numbers(inner) for inner in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value
