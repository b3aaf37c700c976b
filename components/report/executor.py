"""Artifacts in, artifacts out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils
from tfx.utils import path_utils

from components.baseline_probe import report as probe_report
from components.cross_dataset import matrix
from components.data_gate.executor import INDEX_FILE as DATA_INDEX
from components.evaluator import judgement as judgements
from components.evaluator.judgement import Judgement
from components.example_gen import report as ingest_report
from components.example_gen.split import TEST
from components.explanation_probe.measures import Measures
from components.explanation_probe.report import read_measures
from components.grad_cam.executor import INDEX_FILE as CASES_INDEX
from components.report import dashboard, figures, model_card
from components.report.curves import draw_curves
from components.report.figures import Explanations, Figures, Lineage, Source
from components.report.tfma.dashboard import render_dashboard
from components.robustness import report as robustness_report
from components.scorer.scores import read_scores
from components.trainer.contract_file import CONTRACT
from components.trainer.curves import HISTORY

JUDGEMENT = "judgement"
SCORES = "scores"
MODEL = "model"
MODEL_RUN = "model_run"
INGEST = "ingest"
DATA_REPORT = "data_report"
PROBE = "probe"
MATRIX = "matrix"
ROBUSTNESS = "robustness"
EXPLANATIONS = "explanations"
MEASURES = "measures"
EVALUATION = "evaluation"
VALIDATION_EVALUATION = "validation_evaluation"
UNSAMPLED_EVALUATION = "unsampled_evaluation"
REPORT = "report"
LINEAGE = "lineage"
CODE = "code"

HTML_FILE = "report.html"
TFMA_FILE = "tfma.html"
CARD_FILE = "model_card.md"
CARD_PAGE = "model_card.html"

# By the title of their part of the dashboard.
_EVALUATIONS = {
    "Test images": EVALUATION,
    "Test images before they were balanced": UNSAMPLED_EVALUATION,
    "Validation images": VALIDATION_EVALUATION,
}
# What other nodes may have written, or not.
_OPTIONAL = {
    PROBE: probe_report.INDEX_FILE,
    MATRIX: matrix.FILE_NAME,
    ROBUSTNESS: robustness_report.INDEX_FILE,
}

Inputs = Mapping[str, Sequence[types.Artifact]]


class Executor(base_executor.BaseExecutor):
    """Gathers what the other nodes found, and writes it for people."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Run the node, see `EvaluationReport`."""
        lineage = Lineage.model_validate_json(exec_properties[LINEAGE])
        found = gather(input_dict, lineage)
        evaluations = {
            title: artifact_utils.get_single_uri(input_dict[key])
            for title, key in _EVALUATIONS.items()
            if input_dict.get(key)
        }
        pages = {CARD_PAGE: "model card", CARD_FILE: "the same as Markdown"}
        if evaluations:
            pages = {TFMA_FILE: "TFMA’s dashboard"} | pages
        contents = {
            HTML_FILE: dashboard.render_html(found, files=pages),
            CARD_FILE: model_card.render_markdown(found),
            CARD_PAGE: model_card.render_html(found),
            figures.FILE_NAME: found.model_dump_json(indent=1) + "\n",
        }
        if evaluations:
            contents[TFMA_FILE] = render_dashboard(evaluations)
        folder = artifact_utils.get_single_uri(output_dict[REPORT])
        for name, text in contents.items():
            with fileio.open(f"{folder}/{name}", "wb") as file:
                file.write(text.encode())


def gather(inputs: Inputs, lineage: Lineage) -> Figures:
    """Read the artifacts.

    Args:
      inputs: by the node's keys.
      lineage: what the pipeline knows of the run; its artifacts are added.
    """
    artifacts = {
        key: Source(id=found[0].id, uri=found[0].uri) for key, found in inputs.items() if found
    }
    data = _read_json(inputs, DATA_REPORT, DATA_INDEX)
    ingest = _read_json(inputs, INGEST, ingest_report.FILE_NAME)
    model_uri = artifact_utils.get_single_uri(list(inputs[MODEL]))
    scores = read_scores(artifact_utils.get_single_uri(list(inputs[SCORES])), TEST)
    return Figures(
        lineage=lineage.model_copy(update={"artifacts": artifacts}),
        judgement=Judgement.model_validate(_read_json(inputs, JUDGEMENT, judgements.FILE_NAME)),
        curves=draw_curves(scores),
        contract=json.loads(_read(f"{path_utils.serving_model_path(model_uri)}/{CONTRACT}")),
        history=_history(artifact_utils.get_single_uri(list(inputs[MODEL_RUN]))),
        # The names of files are in the ingest's own report.
        ingest={key: value for key, value in ingest.items() if not key.endswith("_files")},
        problems=tuple(_sentences(data["problems"])),
        notes=tuple(data["notes"]),
        explanations=_explanations(inputs),
        measures=_measures(inputs),
        **{
            key: _read_json(inputs, key, name) if inputs.get(key) else None
            for key, name in _OPTIONAL.items()
        },
    )


def _history(uri: str) -> dict[str, dict[str, tuple[float, ...]]]:
    return json.loads(_read(f"{uri}/{HISTORY}"))


def _explanations(inputs: Inputs) -> Explanations | None:
    if not inputs.get(EXPLANATIONS):
        return None
    found = _read_json(inputs, EXPLANATIONS, CASES_INDEX)
    return Explanations(
        films=found["films"], cases=len(found["cases"]), reference=found["heat"]["reference"]
    )


def _measures(inputs: Inputs) -> Measures | None:
    if not inputs.get(MEASURES):
        return None
    return read_measures(artifact_utils.get_single_uri(list(inputs[MEASURES])))


def _sentences(problems: Iterable[Mapping[str, Any]]) -> list[str]:
    return [one["sentence"] for one in problems]


def _read_json(inputs: Inputs, key: str, name: str) -> dict[str, Any]:
    return json.loads(_read(f"{artifact_utils.get_single_uri(list(inputs[key]))}/{name}"))


def _read(path: str) -> str:
    with fileio.open(path, "rb") as file:
        return file.read().decode()
