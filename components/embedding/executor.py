"""Artifacts in, artifacts out."""

from __future__ import annotations

import json
from typing import Any

import apache_beam as beam
from tfx import types
from tfx.dsl.components.base import base_beam_executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils

from components.embedding.embed import Embed
from components.embedding.settings import EmbeddingSettings
from components.embedding.worker import Work, this_process
from components.errors import InputError
from components.storage import read_records
from components.trainer.embedded import MANIFEST, Known, Manifest, Shard, files_digest
from components.trainer.settings import TrainerSettings

EXAMPLES = "examples"
TRANSFORM_GRAPH = "transform_graph"
ACTIVATIONS = "activations"
SPLITS = "splits"
NETWORK = "network"
SETTINGS = "settings"
CODE = "code"


class Executor(base_beam_executor.BaseBeamExecutor):
    """Runs the frozen part over the splits, and lists what was written."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Run the node, see `Embedder`.

        Raises:
          InputError: if a split has no images, an image gives no numbers, or the workers of a
            cluster do not agree on the network.
          WeightsError: if the backbone's weights cannot be had.
        """
        network = json.loads(exec_properties[NETWORK])
        settings = EmbeddingSettings.model_validate_json(exec_properties[SETTINGS])
        splits = json.loads(exec_properties[SPLITS])
        folder = artifact_utils.get_single_uri(output_dict[ACTIVATIONS])
        files = {split: _files(input_dict[EXAMPLES], split) for split in splits}
        everything = [file for own in files.values() for file in own]
        work = Work(
            settings=TrainerSettings.model_validate(network["settings"]),
            image_size=network["image_size"],
            preprocessing=network["preprocessing"],
            transform_graph=artifact_utils.get_single_uri(input_dict[TRANSFORM_GRAPH]),
            files=len(everything),
            threads=settings.threads,
            node=this_process(),
        )
        # Beside the shards: workers may be on other machines, and see no folder of this one.
        lines = f"{folder}/written"
        with self._make_beam_pipeline() as pipeline:
            _ = (
                pipeline
                | "Files" >> beam.Create(everything)
                | "Embed" >> Embed(work, splits, folder)
                | "List" >> beam.io.WriteToText(f"{lines}/shards", ".jsonl")
            )
        manifest = Manifest(
            shards=_read_shards(lines),
            splits={
                split: Known(files=files_digest(own), images=_count(f"{folder}/Split-{split}"))
                for split, own in files.items()
            },
        )
        fileio.rmtree(lines)
        with fileio.open(f"{folder}/{MANIFEST}", "wb") as file:
            file.write(manifest.model_dump_json(indent=1).encode())


def _files(examples: list[types.Artifact], split: str) -> list[str]:
    uri = artifact_utils.get_split_uri(examples, split)
    files = sorted(str(file) for file in fileio.glob(f"{uri}/*.gz"))
    if not files:
        raise InputError(
            f"the split {split!r} has no gzip TFRecords in {uri}: give it images of more patients, "
            "or a larger share (data.split.fractions)"
        )
    return files


def _read_shards(folder: str) -> tuple[Shard, ...]:
    shards: list[Shard] = []
    for path in sorted(str(path) for path in fileio.glob(f"{folder}/*.jsonl")):
        with fileio.open(path, "r") as file:
            shards += map(Shard.model_validate_json, file)
    if len({shard.part for shard in shards}) > 1:
        raise InputError(
            "Beam's workers have different weights or versions of TensorFlow, and their rows would "
            "not go together: give all of them the same image and the same trainer.weights"
        )
    return tuple(sorted(shards, key=lambda shard: shard.name))


def _count(folder: str) -> int:
    files = sorted(str(file) for file in fileio.glob(f"{folder}/*.gz"))
    return int(read_records(files).reduce(0, lambda count, _: count + 1))
