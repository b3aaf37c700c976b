"""Runs an ingest: list, survey, divide, write."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
from tfx import types
from tfx.dsl.components.base import base_beam_executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils

from components.example_gen import beam_io, registry, report
from components.example_gen.listing import LeftOut, Listing
from components.example_gen.split import SPLITS, SplitPlan, Surveyed, divide


class Executor(base_beam_executor.BaseBeamExecutor):
    """Executor of `XrayExampleGen`."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Write the Examples and the report.

        Raises:
          DatasetError: if a dataset is not there, or leaves a split without a class.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        examples = artifact_utils.get_single_instance(output_dict["examples"])
        listings = [
            registry.list_files(name, Path(root))
            for name, root in json.loads(exec_properties["sources"]).items()
        ]
        surveyed, unreadable = self._survey(listings)
        plan = SplitPlan(**json.loads(exec_properties["split"]))
        splits, surplus = divide(surveyed, plan)
        left_out = [one for found in listings for one in found.left_out] + unreadable + surplus
        read = sum(len(found.files) + len(found.left_out) for found in listings)
        account = report.account(read, splits, left_out)
        report.require_usable(splits, left_out)

        self._write(splits, examples)
        examples.split_names = artifact_utils.encode_split_names(list(SPLITS))
        folder = artifact_utils.get_single_uri(output_dict["report"])
        with fileio.open(f"{folder}/{report.FILE_NAME}", "w") as file:
            json.dump(account, file, indent=2)

    def _survey(self, listings: Sequence[Listing]) -> tuple[list[Surveyed], list[LeftOut]]:
        files = [file for found in listings for file in found.files]
        folder = self._get_tmp_dir().rstrip("/")
        with self._make_beam_pipeline() as pipeline:
            _ = (
                pipeline
                | "Files" >> beam.Create(files)
                | "Survey" >> beam_io.Survey(len(files))
                | "Save" >> beam.io.WriteToText(f"{folder}/survey", ".jsonl")
            )
        surveyed: list[Surveyed] = []
        left_out: list[LeftOut] = []
        for shard in fileio.glob(f"{folder}/survey*.jsonl"):
            with fileio.open(shard) as lines:
                for one in map(beam_io.parse_survey, lines):
                    if isinstance(one, LeftOut):
                        left_out.append(one)
                    else:
                        surveyed.append(one)
        return surveyed, left_out

    def _write(self, splits: Mapping[str, Sequence[Surveyed]], examples: types.Artifact) -> None:
        total = sum(len(members) for members in splits.values())
        with self._make_beam_pipeline() as pipeline:
            for split, members in splits.items():
                # The folder's name is TFX's: `Split-train` and so on.
                folder = f"{examples.uri}/Split-{split}"
                _ = (
                    pipeline
                    | f"Images[{split}]" >> beam.Create(members)
                    | f"Write[{split}]" >> beam_io.WriteExamples(folder, total)
                )
