"""The nodes of the pipeline, one folder each.

TFX's Kubeflow containers import a custom artifact by its type's name, which may hold one dot
only. The artifacts are therefore found here, and imported when they are asked for.

Whoever runs a node imports this package: TFX's and Beam's file systems for s3://, minio:// and
hdfs:// are therefore registered here, as soon as either has a registry.
"""

from __future__ import annotations

import importlib
from typing import Any

import wrapt

_ARTIFACTS = {
    "Activations": "components.trainer.artifacts",
    "CrossDatasetReport": "components.cross_dataset.artifacts",
    "DataQualityReport": "components.data_gate.artifacts",
    "ExplanationMeasures": "components.explanation_probe.artifacts",
    "ExplanationReport": "components.grad_cam.artifacts",
    "IngestReport": "components.example_gen.artifacts",
    "Judgement": "components.evaluator.artifacts",
    "ModelReport": "components.report.artifacts",
    "ProbeReport": "components.baseline_probe.artifacts",
    "RobustnessReport": "components.robustness.artifacts",
    "RunVerdict": "components.verdict.artifacts",
    "StatisticsBaseline": "components.data_gate.artifacts",
    "VerdictReport": "components.verdict.artifacts",
}


def __getattr__(name: str) -> Any:
    if name in _ARTIFACTS:
        return getattr(importlib.import_module(_ARTIFACTS[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


for _registry, _plugin in (
    ("tfx.dsl.io.filesystem_registry", "components.object_store_fileio"),
    ("apache_beam", "components.object_store_beam"),
):
    wrapt.register_post_import_hook(f"{_plugin}:register", _registry)
