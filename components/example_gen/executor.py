"""Runs an ingest: list, survey, judge, divide, write."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import apache_beam as beam
from tfx import types
from tfx.dsl.components.base import base_beam_executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils

from components import progress
from components.example_gen import beam_io, ingest_page, report
from components.example_gen.datasets import registry
from components.example_gen.datasets.files import place
from components.example_gen.datasets.listing import DatasetError, LeftOut, Listing
from components.example_gen.datasets.source import Source
from components.example_gen.images.imaging import read_image
from components.example_gen.images.near_duplicates import Thresholds, find_near_duplicates
from components.example_gen.quality import faults
from components.example_gen.record import Labels
from components.example_gen.settings import Quality, Split
from components.example_gen.split import (
    TEST_UNSAMPLED,
    Division,
    SplitPlan,
    Surveyed,
    divide,
    in_order,
    without_disputed,
    without_duplicates,
)


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
          DatasetError: if a dataset is not there, or leaves a split without an image.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        sources = {
            name: Source(**fields)
            for name, fields in json.loads(exec_properties["sources"]).items()
        }
        split = Split(**json.loads(exec_properties["split"]))
        quality = Quality(**json.loads(exec_properties["quality"]))
        ingest = self._ingest(sources, exec_properties["labels"], split, quality)

        examples = artifact_utils.get_single_instance(output_dict["examples"])
        self._write(ingest.division, examples)
        folder = artifact_utils.get_single_uri(output_dict["report"])
        account = report.account(ingest)
        with fileio.open(f"{folder}/{report.FILE_NAME}", "w") as file:
            json.dump(account, file, indent=2)
        with fileio.open(f"{folder}/{report.PAGE_NAME}", "w") as file:
            file.write(ingest_page.render(ingest, account))

    def _ingest(
        self, sources: Mapping[str, Source], labels: Labels, split: Split, quality: Quality
    ) -> report.Ingest:
        listings = [
            registry.list_files(name, place(source.folder or "."), source, labels)
            for name, source in sources.items()
        ]
        require_one_owner(listings)
        surveyed, bad = self._survey(listings)
        sound, quarantined = _judge(surveyed, quality)
        suspects: list[LeftOut] = []
        if quality.mode == "report_only":
            sound, quarantined, suspects = surveyed, [], quarantined
        distinct, _ = without_duplicates(sound)
        near = find_near_duplicates(
            [one.look for one in distinct],
            lambda index: read_image(beam_io.read_again(distinct[index]))[0],
            Thresholds(correlation=split.near_duplicate_correlation),
            progress=lambda done, total: progress.report(done, total, "films compared"),
        )
        same_film = [(distinct[link.first], distinct[link.second]) for link in near.links]
        groups = [[distinct[index] for index in group] for group in near.groups()]
        plan = SplitPlan(
            fractions=split.fractions.model_dump(),
            salt=split.salt,
            normals_per_pneumonia={
                name: source.normals_per_pneumonia
                for name, source in sources.items()
                if source.normals_per_pneumonia is not None
            },
            as_published=split.method == "as_published",
        )
        disputed: list[LeftOut] = []
        if not plan.as_published:
            sound, disputed = without_disputed(sound, groups)
        join = split.near_duplicates == "join" and not plan.as_published
        division = divide(sound, plan, same_film if join else ())
        ingest = report.Ingest(
            listings=listings,
            sources=sources,
            labels=labels,
            split=split,
            quality=quality,
            surveyed=surveyed,
            division=division,
            bad=[*bad, *quarantined, *disputed],
            suspects=suspects,
            same_film=same_film,
            near=near,
        )
        report.require_images(ingest)
        report.require_clean_patients(ingest)
        return ingest

    def _survey(self, listings: Sequence[Listing]) -> tuple[list[Surveyed], list[LeftOut]]:
        files = [file for found in listings for file in found.files]
        folder = self._get_tmp_dir().rstrip("/")
        beam_io.save(files, f"{folder}/files")
        with self._make_beam_pipeline() as pipeline:
            _ = (
                pipeline
                | "Files" >> beam_io.Load(f"{folder}/files")
                | "Survey" >> beam_io.Survey(len(files))
                | "Save" >> beam.io.WriteToText(f"{folder}/survey", ".jsonl")
            )
        surveyed: list[Surveyed] = []
        bad: list[LeftOut] = []
        for shard in fileio.glob(f"{folder}/survey*.jsonl"):
            with fileio.open(shard) as lines:
                for one in map(beam_io.parse_survey, lines):
                    if isinstance(one, LeftOut):
                        bad.append(one)
                    else:
                        surveyed.append(one)
        return in_order(surveyed), bad

    def _write(self, division: Division, examples: types.Artifact) -> None:
        splits = dict(division.splits)
        if division.unsampled:
            splits[TEST_UNSAMPLED] = division.unsampled
        total = sum(len(members) for members in splits.values())
        scratch = self._get_tmp_dir().rstrip("/")
        with self._make_beam_pipeline() as pipeline:
            for split, members in splits.items():
                beam_io.save(members, f"{scratch}/{split}")
                # The folder's name is TFX's: `Split-train` and so on.
                folder = f"{examples.uri}/Split-{split}"
                _ = (
                    pipeline
                    | f"Images[{split}]" >> beam_io.Load(f"{scratch}/{split}")
                    | f"Write[{split}]" >> beam_io.WriteExamples(folder, total)
                )
        examples.split_names = artifact_utils.encode_split_names(list(splits))


def require_one_owner(listings: Sequence[Listing]) -> None:
    """Refuse datasets that share an image: it would be counted in both, and written twice.

    Raises:
      DatasetError: names the image.
    """
    owner: dict[str, str] = {}
    for found in listings:
        for file in found.files:
            other = owner.setdefault(file.path, found.dataset)
            if other != found.dataset:
                raise DatasetError(
                    f"{file.path} is in the {other} and in the {found.dataset} dataset: give each "
                    "a folder of its own (data.datasets.NAME.folder)"
                )


def _judge(surveyed: Sequence[Surveyed], quality: Quality) -> tuple[list[Surveyed], list[LeftOut]]:
    """Images without a fault, and the others with their plainest one."""
    sound: list[Surveyed] = []
    faulty: list[LeftOut] = []
    for one in surveyed:
        fault = next(faults(one.file, one.facts, quality), None)
        if fault is None:
            sound.append(one)
        else:
            faulty.append(LeftOut(one.file.path, fault))
    return sound, faulty
