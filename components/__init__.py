"""The nodes of the pipeline, one folder each.

TFX's Kubeflow containers import a custom artifact by its type's name, which may hold one dot
only. The artifacts are therefore found here, and imported when they are asked for.
"""

from __future__ import annotations

import importlib
from typing import Any

_ARTIFACTS = {
    "CrossDatasetReport": "components.cross_dataset.artifacts",
    "DataQualityReport": "components.data_gate.artifacts",
    "ExplanationMeasures": "components.explanation_probe.artifacts",
    "ExplanationReport": "components.grad_cam.artifacts",
    "IngestReport": "components.example_gen.artifacts",
    "Judgement": "components.evaluator.artifacts",
    "ModelReport": "components.report.artifacts",
    "ProbeReport": "components.baseline_probe.artifacts",
    "RobustnessReport": "components.robustness.artifacts",
    "StatisticsBaseline": "components.data_gate.artifacts",
}


def __getattr__(name: str) -> Any:
    if name in _ARTIFACTS:
        return getattr(importlib.import_module(_ARTIFACTS[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
