"""The two YAML documents of a compiled pipeline, as strictly as Kubeflow reads them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import yaml
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

Json = dict[str, Any]
# https://github.com/kubeflow/pipelines, backend/src/v2/compiler/argocompiler
_SUPPORTED_SCHEMA = "2.1.0"


@dataclasses.dataclass(frozen=True)
class Package:
    """A compiled pipeline.

    Attributes:
      spec: the PipelineSpec as JSON.
      platform: of each executor, what Kubernetes is told.
    """

    spec: Json
    platform: Json

    @property
    def name(self) -> str:
        return str(self.spec["pipelineInfo"]["name"])

    def component(self, name: str) -> Json:
        component: Json = self.spec["components"][name]
        return component

    def container(self, component: Json) -> Json:
        executor = self.spec["deploymentSpec"]["executors"][component["executorLabel"]]
        container: Json = executor["container"]
        return container

    def on_kubernetes(self, component: Json) -> Json:
        found: Json = self.platform.get(component["executorLabel"], {})
        return found


def load(path: Path) -> Package:
    """Read a package; unknown fields and wrong types of fields are errors."""
    spec, *others = yaml.safe_load_all(path.read_text(encoding="utf-8"))
    parsed = json_format.ParseDict(spec, pipeline_spec_pb2.PipelineSpec())
    json_format.ParseDict(spec["deploymentSpec"], pipeline_spec_pb2.PipelineDeploymentConfig())
    if parsed.schema_version != _SUPPORTED_SCHEMA:
        raise ValueError(f"schema {parsed.schema_version} is not {_SUPPORTED_SCHEMA}")
    platform: Json = {}
    if others:
        json_format.ParseDict(others[0], pipeline_spec_pb2.PlatformSpec())
        platform = others[0]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    return Package(spec, platform)
