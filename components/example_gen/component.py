"""The TFX component that turns both datasets into Examples."""

from __future__ import annotations

import json
from collections.abc import Mapping

from tfx import v1 as tfx
from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import component_spec

from components.example_gen import executor
from components.example_gen.artifacts import IngestReport


class XrayExampleGenSpec(component_spec.ComponentSpec):
    """The interface of `XrayExampleGen`."""

    INPUTS: dict = {}
    OUTPUTS = {
        "examples": component_spec.ChannelParameter(type=tfx.types.standard_artifacts.Examples),
        "report": component_spec.ChannelParameter(type=IngestReport),
    }
    PARAMETERS = {
        "sources": component_spec.ExecutionParameter(type=str),
        "split": component_spec.ExecutionParameter(type=str),
        "fingerprint": component_spec.ExecutionParameter(type=str),
        "code": component_spec.ExecutionParameter(type=str),
    }


class XrayExampleGen(base_beam_component.BaseBeamComponent):
    """Reads chest X-ray datasets and writes the Example contract.

    Splits are by patient. Images that cannot be used are left out and accounted for in the
    report, never dropped in silence.

        example_gen = XrayExampleGen(
            sources={"pediatric": "data/chest_xray", "nih": "data/nih"},
            fractions={"train": 0.7, "val": 0.15, "test": 0.15},
            salt="cxr",
            normals_per_pneumonia={"nih": 1.0},
            fingerprint=fingerprint_of_the_files,
            code=source_digest("example_gen"),
        )

    Component `outputs` contains:
     - `examples`: gzipped TFRecords in splits `train`, `val` and `test`.
     - `report`: channel of type `IngestReport`.
    """

    SPEC_CLASS = XrayExampleGenSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(executor.Executor)

    def __init__(
        self,
        *,
        sources: Mapping[str, str],
        fractions: Mapping[str, float],
        salt: str,
        normals_per_pneumonia: Mapping[str, float],
        fingerprint: str,
        code: str,
    ):
        """Construct the node.

        Args:
          sources: the folder of each dataset, by its registered name.
          fractions: share of patients in each split.
          salt: of the hash that divides patients.
          normals_per_pneumonia: for datasets that are balanced by leaving out normals.
          fingerprint: digest of the files; the node runs again when it changes.
          code: digest of the node's source.
        """
        split = {
            "fractions": dict(fractions),
            "salt": salt,
            "normals_per_pneumonia": dict(normals_per_pneumonia),
        }
        super().__init__(
            spec=XrayExampleGenSpec(
                sources=json.dumps(dict(sources), sort_keys=True),
                split=json.dumps(split, sort_keys=True),
                fingerprint=fingerprint,
                code=code,
                examples=tfx.dsl.Channel(type=tfx.types.standard_artifacts.Examples),
                report=tfx.dsl.Channel(type=IngestReport),
            )
        )
