"""Kubeflow's cache: by what a task's result follows from (backend/src/v2/cacheutils/cache.go)."""

from __future__ import annotations

import hashlib
import json

from tests.kubeflow_driver.documents import Json


def cache_key(container: Json, kubernetes: Json, executor_input: Json) -> str:
    """The fingerprint of a task.

    Neither URIs of outputs are in it, nor what Kubernetes alone is told, but for its claims.
    """
    inputs, outputs = executor_input["inputs"], executor_input["outputs"]
    ingredients = {
        "inputArtifactNames": {
            key: [one["name"] for one in found["artifacts"]]
            for key, found in inputs["artifacts"].items()
        },
        "inputParameterValues": inputs["parameterValues"],
        "outputArtifactsSpec": {
            key: [
                {name: value for name, value in one.items() if name != "uri"}
                for one in found["artifacts"]
            ]
            for key, found in outputs["artifacts"].items()
        },
        "containerSpec": {
            "image": container["image"],
            "cmdArgs": [*container["command"], *container["args"]],
            "pvcNames": [claim.get("constant") for claim in kubernetes.get("pvcMount", ())],
            "env": container.get("env", []),
        },
    }
    return hashlib.sha256(json.dumps(ingredients, sort_keys=True).encode()).hexdigest()
