"""Artifacts in, artifacts out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import apache_beam as beam
from tfx import types
from tfx.dsl.components.base import base_beam_executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils
from tfx.utils import path_utils

from components import progress
from components.errors import InputError
from components.grad_cam import cases, exported_model, pictures, report
from components.grad_cam.evaluation import read_slices
from components.grad_cam.explaining import Explain
from components.grad_cam.films import ExplainedFilm, parse_line
from components.grad_cam.settings import GradCamSettings
from components.scorer.scores import Scores, read_scores

EXAMPLES = "examples"
MODEL = "model"
SCORES = "scores"
EVALUATION = "evaluation"
REPORT = "report"
SPLIT = "split"
FINDING = "finding"
SETTINGS = "settings"
CODE = "code"

HTML_FILE = "report.html"
INDEX_FILE = "cases.json"

Inputs = Mapping[str, Sequence[types.Artifact]]


class Executor(base_beam_executor.BaseBeamExecutor):
    """Chooses cases by their scores, explains them, writes the report."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Run the node, see `GradCamReport`.

        Raises:
          InputError: if the model is not one to explain, or does not tell the finding.
          FileNotFoundError: if the split was not scored.
        """
        settings = GradCamSettings.model_validate_json(exec_properties[SETTINGS])
        split, finding = exec_properties[SPLIT], exec_properties[FINDING]
        sources = {key: _uri(input_dict, key) for key in (EXAMPLES, MODEL, SCORES)}
        model = path_utils.serving_model_path(sources[MODEL])
        contract = exported_model.read_contract(model, finding)
        scored = score_cases(read_scores(sources[SCORES], split), contract.output)
        selected = _select(scored, settings, contract.threshold)
        folder = artifact_utils.get_single_uri(output_dict[REPORT])
        films = self._explain(
            _files(input_dict[EXAMPLES], split),
            Explain(
                model=model,
                contract=contract,
                finding=finding,
                folder=folder,
                chosen={
                    (one.case.sha256, one.case.filename): number
                    for number, one in enumerate(selected, start=1)
                },
                boxes="boxes" not in settings.redacted,
            ),
            folder,
        )
        _write(
            folder,
            report.Report(
                split=split,
                model=exported_model.digest(model),
                contract=contract,
                settings=settings,
                sources=sources,
                counts=cases.count_outcomes(scored),
                slices=_slices(input_dict, settings, finding),
                not_found=cases.not_found(scored, settings.named),
                cases=[
                    report.ExplainedCase(selected=one, film=films[number])
                    for number, one in enumerate(selected, start=1)
                ],
            ),
        )

    def _explain(
        self, files: Sequence[str], explain: Explain, folder: str
    ) -> dict[int, ExplainedFilm]:
        for name in pictures.FOLDERS:
            fileio.makedirs(f"{folder}/{name}")
        lines = f"{self._get_tmp_dir().rstrip('/')}/explained"
        with self._make_beam_pipeline() as pipeline:
            _ = (
                pipeline
                | "Files" >> beam.Create(files)
                | "Read" >> beam.io.ReadAllFromTFRecord()
                | "Explain" >> explain
                | "Save" >> beam.io.WriteToText(lines, ".jsonl")
            )
        found: dict[int, ExplainedFilm] = {}
        for shard in sorted(str(path) for path in fileio.glob(f"{lines}*.jsonl")):
            with fileio.open(shard, "r") as file:
                found |= {film.number: film for film in map(parse_line, file)}
        return found


def score_cases(scores: Scores, output: int) -> list[cases.ScoredCase]:
    """The scored films of a split, for one of the model's outputs."""
    columns = {name: values.tolist() for name, values in scores.features.items()}
    return [
        cases.ScoredCase(
            sha256=str(scores.sha256[row]),
            filename=str(scores.filenames[row]),
            dataset=str(scores.datasets[row]),
            label=int(scores.labels[row, output]),
            probability=float(scores.probabilities[row, output]),
            decision=int(scores.decisions[row, output]),
            # What is not known of a film is empty.
            features={name: values[row] for name, values in columns.items() if values[row]},
        )
        for row in range(len(scores))
    ]


def _select(
    scored: Sequence[cases.ScoredCase], settings: GradCamSettings, threshold: float
) -> list[cases.SelectedCase]:
    for name in cases.not_found(scored, settings.named):
        progress.warn(f"grad_cam.named: the split has no film {name!r}")
    return cases.select_cases(
        scored,
        rules={cases.Rule(name): count for name, count in settings.rules},
        threshold=threshold,
        seed=settings.seed,
        slices=settings.shown_slices,
        named=settings.named,
        cases=None if settings.cases == "all" else settings.cases,
    )


def _uri(inputs: Inputs, key: str) -> str:
    return str(artifact_utils.get_single_uri(list(inputs[key])))


def _files(examples: Sequence[types.Artifact], split: str) -> list[str]:
    uri = artifact_utils.get_split_uri(list(examples), split)
    files = sorted(str(file) for file in fileio.glob(f"{uri}/*.gz"))
    if not files:
        raise InputError(f"the split {split!r} has no gzip TFRecords in {uri}")
    return files


def _slices(
    inputs: Inputs, settings: GradCamSettings, finding: str
) -> list[report.SlicePerformance]:
    if not inputs.get(EVALUATION):
        return []
    return read_slices(_uri(inputs, EVALUATION), settings.shown_slices, finding)


def _write(folder: str, found: report.Report) -> None:
    shown = report.redact(found)
    index = json.dumps(report.index(shown), ensure_ascii=False, indent=1) + "\n"
    for name, text in ((INDEX_FILE, index), (HTML_FILE, report.render_html(shown))):
        with fileio.open(f"{folder}/{name}", "wb") as file:
            file.write(text.encode())
