"""What a task is given: as Kubeflow's driver resolves it (backend/src/v2/driver/resolve.go)."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from tests.kubeflow_driver.documents import Json

_KINDS = {
    "NUMBER_INTEGER": (int, float),
    "NUMBER_DOUBLE": (int, float),
    "BOOLEAN": (bool,),
    "LIST": (list,),
    "STRUCT": (dict,),
}


class ResolutionError(RuntimeError):
    """What Kubeflow's driver would refuse."""


@dataclasses.dataclass(frozen=True)
class Artifact:
    """What ML Metadata knows of an artifact: not its type.

    Attributes:
      name: its id.
      uri: in the object store.
      metadata: its properties, as ML Metadata gives them back.
    """

    name: str
    uri: str
    metadata: Json

    def runtime(self) -> Json:
        """As another task is told of it; the type is empty, as that of Kubeflow's driver."""
        return {
            "name": self.name,
            "uri": self.uri,
            "metadata": self.metadata,
            "type": {"instanceSchema": ""},
        }


@dataclasses.dataclass(frozen=True)
class Scope:
    """What a task sees of the DAG that it is in.

    Attributes:
      parameters: of the DAG.
      outputs: artifacts of the tasks that are done, by task and key.
      states: of the tasks that ended.
      variables: what placeholders such as `{{$.pipeline_job_uuid}}` stand for.
    """

    parameters: Mapping[str, Any]
    outputs: Mapping[str, Mapping[str, Artifact]]
    states: Mapping[str, str]
    variables: Mapping[str, str]


def root_parameters(definitions: Json, given: Mapping[str, Any]) -> Json:
    """The values of the whole pipeline's parameters.

    Raises:
      ResolutionError: if one is not known, missing, or of the wrong type.
    """
    if unknown := set(given) - set(definitions):
        raise ResolutionError(f"the pipeline has no parameters {sorted(unknown)}")
    values = {
        name: definition["defaultValue"]
        for name, definition in definitions.items()
        if "defaultValue" in definition
    } | dict(given)
    return checked(values, definitions)


def resolve_parameters(task: Json, component: Json, scope: Scope) -> Json:
    """A task's parameter values.

    Raises:
      ResolutionError: if one has no value, or one of the wrong type.
    """
    definitions = component.get("inputDefinitions", {}).get("parameters", {})
    values = {
        name: _value(name, source, task, scope)
        for name, source in task.get("inputs", {}).get("parameters", {}).items()
    }
    # The launcher adds defaults of what is optional.
    for name, definition in definitions.items():
        if name not in values and "defaultValue" in definition:
            values[name] = definition["defaultValue"]
    return checked(values, definitions)


def checked(values: Mapping[str, Any], definitions: Json) -> Json:
    """The values, if they are of their types; of anything, a STRING gets its JSON."""
    found = dict(values)
    for name, definition in definitions.items():
        if name not in found:
            if not definition.get("isOptional"):
                raise ResolutionError(f"neither value nor default value for parameter {name!r}")
            continue
        kind, value = definition["parameterType"], found[name]
        if value is None:
            raise ResolutionError(f"got null for parameter {name!r}")
        if kind == "STRING":
            found[name] = value if isinstance(value, str) else json.dumps(value)
        elif not isinstance(value, _KINDS[kind]) or (
            isinstance(value, bool) != (kind == "BOOLEAN")
        ):
            raise ResolutionError(f"parameter {name!r}: expected {kind}, got {value!r}")
    return found


def _value(name: str, source: Json, task: Json, scope: Scope) -> Any:
    if outer := source.get("componentInputParameter"):
        if outer not in scope.parameters:
            raise ResolutionError(f"{name}: the parent DAG does not have input parameter {outer!r}")
        return scope.parameters[outer]
    if "taskFinalStatus" in source:
        # Not the producer that it names: the first that the task depends on.
        producer = task["dependentTasks"][0]
        return {
            "state": scope.states[producer],
            "pipelineTaskName": producer,
            "pipelineJobResourceName": scope.variables["pipeline_job_resource_name"],
            "error": {},
        }
    if "constant" not in source.get("runtimeValue", {}):
        raise ResolutionError(f"{name}: {sorted(source)} is not implemented")
    constant = source["runtimeValue"]["constant"]
    if isinstance(constant, str) and constant.startswith("{{$.") and constant.endswith("}}"):
        return scope.variables.get(constant[4:-2], constant)
    return constant


def resolve_artifacts(task: Json, scope: Scope) -> Json:
    """A task's input artifacts, as `ExecutorInput` has them.

    Raises:
      ResolutionError: if a producer is not there, or lacks the output.
    """
    found: Json = {}
    for key, source in task.get("inputs", {}).get("artifacts", {}).items():
        wanted = source["taskOutputArtifact"]
        try:
            made = scope.outputs[wanted["producerTask"]][wanted["outputArtifactKey"]]
        except KeyError as error:
            raise ResolutionError(f"{key}: no output {wanted}") from error
        found[key] = {"artifacts": [made.runtime()]}
    return found
