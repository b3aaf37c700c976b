"""The document beside the pipeline spec: what Kubernetes alone understands.

It follows kfp-kubernetes' `KubernetesExecutorConfig`.
"""

from __future__ import annotations

from typing import Any

from pipeline.runners.kubeflow.adaptations import Spec, containers
from pipeline.runners.kubeflow.settings import KubeflowSettings, NodeSettings, Toleration


def platform_spec(
    spec: Spec, settings: KubeflowSettings, *, annotations: dict[str, str], env: dict[str, str]
) -> dict[str, Any]:
    """Where and with what each container runs.

    Args:
      spec: the pipeline spec.
      settings: of the nodes.
      annotations: of every pod.
      env: environment variables that hold one of them: the annotation's name by the variable's.
    """
    executors = {
        component["executorLabel"]: _of_all(settings)
        | _of_node(settings.node(node))
        | {
            "podMetadata": {"annotations": annotations},
            "fieldPathAsEnv": [
                {"name": name, "fieldPath": f"metadata.annotations['{annotation}']"}
                for name, annotation in env.items()
            ],
        }
        for node, component, _ in containers(spec)
    }
    return {"platforms": {"kubernetes": {"deploymentSpec": {"executors": executors}}}}


def _of_all(settings: KubeflowSettings) -> dict[str, Any]:
    config: dict[str, Any] = {}
    if settings.volumes:
        config["pvcMount"] = [
            {"constant": volume.claim, "mountPath": volume.path}
            | ({"subPath": volume.sub_path} if volume.sub_path else {})
            for volume in settings.volumes
        ]
    if settings.secrets:
        config["secretAsEnv"] = [
            {
                "secretName": secret.name,
                "keyToEnv": [
                    {"secretKey": key, "envVar": variable} for variable, key in secret.env.items()
                ],
                "optional": secret.optional,
            }
            for secret in settings.secrets
        ]
    if settings.image_pull_policy:
        config["imagePullPolicy"] = settings.image_pull_policy
    if settings.image_pull_secrets:
        config["imagePullSecret"] = [{"secretName": name} for name in settings.image_pull_secrets]
    return config


def _of_node(settings: NodeSettings) -> dict[str, Any]:
    config: dict[str, Any] = {}
    if settings.node_selector:
        config["nodeSelector"] = {"labels": settings.node_selector}
    if settings.tolerations:
        config["tolerations"] = [_toleration(one) for one in settings.tolerations]
    if settings.shared_memory:
        config["enabledSharedMemory"] = {"volumeName": "shm", "size": settings.shared_memory}
    if settings.timeout_seconds:
        config["activeDeadlineSeconds"] = settings.timeout_seconds
    return config


def _toleration(toleration: Toleration) -> dict[str, str]:
    return toleration.model_dump(exclude_none=True)
