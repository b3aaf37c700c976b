"""What a container of open-source Kubeflow Pipelines is told, made into what TFX understands.

JSON in, JSON out: KFP's `ExecutorInput` and `ExecutorOutput`, see pipeline_spec.proto. Three
things differ:

- ML Metadata hands artifacts over without their type, on which TFX relies
  (tensorflow/tfx#7768): types are those that the pipeline was compiled with.
- KFP's launcher downloads inputs and uploads outputs. Executors work on these local copies, since
  TensorFlow knows neither s3:// nor minio://, and leaves empty objects in gs:// that KFP takes for
  files (kubeflow/pipelines#13476).
- What ML Metadata keeps of a property that is a list or a mapping comes back wrapped.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from typing import Any

# Where KFP's launcher keeps its copy of what an URI names.
_FOLDERS = {"gs://": "/gcs/", "s3://": "/s3/", "minio://": "/minio/"}
_WRAPPERS = ("struct", "list")

Json = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class LocalInvocation:
    """A container's task, on local copies.

    Attributes:
      executor_input: KFP's, with local paths and TFX's types.
      uris: of each local path.
      inputs: local paths of inputs.
      outputs: local paths of outputs.
    """

    executor_input: Json
    uris: Mapping[str, str]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def local_path(uri: str, mounts: str = "") -> str:
    """Where KFP's launcher keeps its copy; anything else is a path already.

    Args:
      uri: of an artifact.
      mounts: a folder before the launcher's own, for tests.
    """
    for scheme, folder in _FOLDERS.items():
        if uri.startswith(scheme):
            return f"{mounts}{folder}{uri[len(scheme) :]}"
    return uri


def localize(
    executor_input: Json, inputs_spec: Json, outputs_spec: Json, *, mounts: str = ""
) -> LocalInvocation:
    """Point a task at local copies, and give its artifacts their types.

    Outputs that the component does not have, such as KFP's `executor-logs`, are left out.

    Args:
      executor_input: as KFP gives it.
      inputs_spec: `ComponentInputsSpec` as TFX compiled it.
      outputs_spec: `ComponentOutputsSpec`, likewise.
      mounts: as in `local_path`.
    """
    task = copy.deepcopy(executor_input)
    uris: dict[str, str] = {}
    paths: dict[str, list[str]] = {"inputs": [], "outputs": []}
    for side, spec in (("inputs", inputs_spec), ("outputs", outputs_spec)):
        known = spec.get("artifacts", {})
        given = task.get(side, {}).get("artifacts", {})
        for key in [key for key in given if key not in known]:
            del given[key]
        for key, artifacts in given.items():
            for artifact in artifacts.get("artifacts", ()):
                artifact["type"] = known[key]["artifactType"]
                artifact["metadata"] = _unwrapped(artifact.get("metadata", {}))
                path = local_path(artifact["uri"], mounts)
                uris[path] = artifact["uri"]
                artifact["uri"] = path
                paths[side].append(path)
    return LocalInvocation(task, uris, tuple(paths["inputs"]), tuple(paths["outputs"]))


def globalize(executor_output: Json, uris: Mapping[str, str]) -> Json:
    """What KFP is told of the outputs, with their URIs.

    Args:
      executor_output: as TFX writes it.
      uris: as in `LocalInvocation`.
    """
    output = copy.deepcopy(executor_output)
    for artifacts in output.get("artifacts", {}).values():
        for artifact in artifacts.get("artifacts", ()):
            artifact["uri"] = _uri(artifact["uri"], uris)
            artifact["metadata"] = {
                key: _uris_within(value, uris)
                for key, value in artifact.get("metadata", {}).items()
                # KFP cannot store a null.
                if value is not None
            }
    return output


def _unwrapped(metadata: Json) -> Json:
    return {
        key: next(iter(value.values()))
        if isinstance(value, dict) and len(value) == 1 and next(iter(value)) in _WRAPPERS
        else value
        for key, value in metadata.items()
    }


def _uris_within(value: Any, uris: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return _uri(value, uris)
    if isinstance(value, list):
        return [_uris_within(one, uris) for one in value]
    if isinstance(value, dict):
        return {key: _uris_within(one, uris) for key, one in value.items()}
    return value


def _uri(path: str, uris: Mapping[str, str]) -> str:
    for local, uri in uris.items():
        if path == local or path.startswith(f"{local.rstrip('/')}/"):
            return uri + path[len(local) :]
    return path
