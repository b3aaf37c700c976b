"""The TFX component that turns both datasets into Examples."""

from __future__ import annotations

import json
from collections.abc import Mapping

from tfx import v1 as tfx
from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import component_spec

from components.example_gen import executor
from components.example_gen.artifacts import IngestReport
from components.example_gen.datasets.source import Source
from components.example_gen.record import Labels
from components.example_gen.settings import Quality, Split


class XrayExampleGenSpec(component_spec.ComponentSpec):
    """The interface of `XrayExampleGen`."""

    INPUTS: dict = {}
    OUTPUTS = {
        "examples": component_spec.ChannelParameter(type=tfx.types.standard_artifacts.Examples),
        "report": component_spec.ChannelParameter(type=IngestReport),
    }
    PARAMETERS = {
        "sources": component_spec.ExecutionParameter(type=str),
        "labels": component_spec.ExecutionParameter(type=str),
        "split": component_spec.ExecutionParameter(type=str),
        "quality": component_spec.ExecutionParameter(type=str),
        "fingerprint": component_spec.ExecutionParameter(type=str),
        "code": component_spec.ExecutionParameter(type=str),
    }


class XrayExampleGen(base_beam_component.BaseBeamComponent):
    """Reads chest X-ray datasets and writes the Example contract.

    Splits are by patient. Images that cannot be used are left out and accounted for in the
    report, never dropped in silence.

        example_gen = XrayExampleGen(
            sources={
                "pediatric": Source(folder="data/chest_xray"),
                "nih": Source(folder="data/nih", normals_per_pneumonia=1.0),
            },
            split=Split(salt="cxr"),
            quality=Quality(),
            fingerprint=fingerprint_of_the_files,
            code=source_digest("example_gen", "example_gen/datasets", "example_gen/images"),
        )

    Component `outputs` contains:
     - `examples`: gzipped TFRecords in splits `train`, `val` and `test`; and `test_unsampled`,
       the test images of the datasets that are balanced, before they are.
     - `report`: channel of type `IngestReport`.
    """

    SPEC_CLASS = XrayExampleGenSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(executor.Executor)

    def __init__(
        self,
        *,
        sources: Mapping[str, Source],
        split: Split,
        quality: Quality,
        fingerprint: str,
        code: str,
        labels: Labels = "pneumonia",
    ):
        """Construct the node.

        Args:
          sources: each dataset, by its registered name; `folder` is the dataset's own.
          split: how images are divided.
          quality: which images are left out as no frontal chest films.
          fingerprint: digest of the files; the node runs again when it changes.
          code: digest of the node's source.
          labels: what Examples are labelled with; `findings` adds the feature `finding_labels`.
        """
        super().__init__(
            spec=XrayExampleGenSpec(
                sources=json.dumps({name: one.model_dump() for name, one in sources.items()}),
                labels=labels,
                split=split.model_dump_json(),
                quality=quality.model_dump_json(),
                fingerprint=fingerprint,
                code=code,
                examples=tfx.dsl.Channel(type=tfx.types.standard_artifacts.Examples),
                report=tfx.dsl.Channel(type=IngestReport),
            )
        )
