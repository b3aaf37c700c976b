"""Compiled experiments, each made once for all tests of a process."""

from __future__ import annotations

import copy
import functools
from typing import Any

from pipeline.config import Config, load_config
from pipeline.pipeline import Places
from pipeline.runners.kubeflow.build import places_on_cluster
from pipeline.runners.kubeflow.compiler import compile_for_kubeflow

IMAGE = "registry/cxr:1"
ROOT = "s3://bucket/cxr"
# The data lies on it.
CLAIM = "kubeflow.volumes=[{claim: x-rays, path: /data}]"
# Those of which docs/kubeflow.md speaks, and one whose nodes differ.
EXPERIMENTS = ("pediatric", "nih", "both", "nih_multilabel")


def experiment(name: str, *overrides: str, fingerprint: str = "") -> tuple[Config, Places]:
    config = load_config(name, [CLAIM, *overrides])
    return config, places_on_cluster(
        config, data_root="/data", pipeline_root=ROOT, fingerprint=fingerprint
    )


def compiled(name: str, *overrides: str, fingerprint: str = "") -> tuple[dict[str, Any], ...]:
    """The pipeline spec and the platform spec."""
    return tuple(copy.deepcopy(_compiled(name, overrides, fingerprint)))


@functools.cache
def _compiled(name: str, overrides: tuple[str, ...], fingerprint: str) -> list[dict[str, Any]]:
    config, places = experiment(name, *overrides, fingerprint=fingerprint)
    return compile_for_kubeflow(config, places, image=IMAGE)


def executor(spec: dict[str, Any], node: str) -> dict[str, Any]:
    return spec["deploymentSpec"]["executors"][f"{node}_executor"]["container"]


def inner_tasks(spec: dict[str, Any]) -> dict[str, Any]:
    return spec["components"]["tfx-dag"]["dag"]["tasks"]


def kubernetes(platform: dict[str, Any], node: str) -> dict[str, Any]:
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    return executors[f"{node}_executor"]
