"""The ingest on real folders, as TFX runs it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf
from tfx.dsl.components.base import base_beam_executor
from tfx.types import artifact_utils, standard_artifacts

from components.example_gen import executor
from components.example_gen.artifacts import IngestReport
from components.example_gen.component import XrayExampleGen
from components.example_gen.datasets import registry
from components.example_gen.datasets.files import Place
from components.example_gen.datasets.source import Source
from components.example_gen.record import Labels
from components.example_gen.settings import Quality, Split
from tests.components.example_gen.samples import (
    FRACTIONS,
)

IMAGES = 40
NORMALS_PER_PNEUMONIA = 0.5
IN_MEMORY = ("--direct_running_mode=in_memory",)
BY_PATIENT = Split.model_validate({"fractions": FRACTIONS})
QUARANTINE = Quality()
TWO_THREADS = (
    "--direct_running_mode=multi_threading",
    "--direct_num_workers=2",
    "--sdk_container_image=cxr",
)


@dataclasses.dataclass(frozen=True)
class Ingest:
    """What a run wrote."""

    splits: Mapping[str, Sequence[tf.train.Example]]
    report: Mapping[str, Any]
    page: str

    def values(self, name: str, split: str) -> list[bytes | int]:
        """A feature's value in every Example of a split."""
        found = []
        for one in self.splits[split]:
            feature = one.features.feature[name]
            (value,) = feature.bytes_list.value or feature.int64_list.value
            found.append(value)
        return found


def ingest(
    data_root: Place,
    out: Path,
    *,
    datasets: Sequence[str] = ("pediatric", "nih"),
    beam_args: Sequence[str] = IN_MEMORY,
    split: Split = BY_PATIENT,
    quality: Quality = QUARANTINE,
    labels: Labels = "pneumonia",
) -> Ingest:
    """Run the executor as TFX does, with the settings of the component itself."""
    ratio = {"nih": NORMALS_PER_PNEUMONIA} if labels == "pneumonia" else {}
    node = XrayExampleGen(
        sources={
            name: Source(
                folder=str(registry.find_root(name, data_root)),
                normals_per_pneumonia=ratio.get(name),
            )
            for name in datasets
        },
        split=split,
        quality=quality,
        fingerprint="",
        code="",
        labels=labels,
    )
    examples, report = standard_artifacts.Examples(), IngestReport()
    examples.uri, report.uri = str(out / "examples"), str(out / "report")
    Path(report.uri).mkdir(parents=True)
    context = base_beam_executor.BaseBeamExecutor.Context(
        beam_pipeline_args=list(beam_args), tmp_dir=str(out / "tmp"), unique_id="1"
    )
    executor.Executor(context).Do(
        {}, {"examples": [examples], "report": [report]}, dict(node.exec_properties)
    )
    names = artifact_utils.decode_split_names(examples.split_names)
    return Ingest(
        {name: read_split(examples, name) for name in names},
        json.loads((Path(report.uri) / "ingest.json").read_text()),
        (Path(report.uri) / "ingest.html").read_text(),
    )


def read_split(examples: standard_artifacts.Examples, split: str) -> list[tf.train.Example]:
    """The Examples of a split."""
    shards = sorted(Path(artifact_utils.get_split_uri([examples], split)).iterdir())
    assert all(shard.suffix == ".gz" for shard in shards)
    records = tf.data.TFRecordDataset([str(shard) for shard in shards], compression_type="GZIP")
    return [tf.train.Example.FromString(record) for record in records.as_numpy_iterator()]
