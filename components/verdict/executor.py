"""Artifacts in, a verdict out; a verdict in, a message out."""

from __future__ import annotations

from typing import Any

import requests
from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils

from components import progress
from components.evaluator.judgement import read_judgement
from components.verdict import message, webhook
from components.verdict.run_folder import RunFolder
from components.verdict.verdict import FILE_NAME, Failure, Push, Verdict, conclude

JUDGEMENT = "judgement"
PUSHED_MODEL = "pushed_model"
VERDICT = "verdict"
REPORT = "report"
FINAL_STATUS = "final_status"
WEBHOOK = "webhook"
OUTPUT_URI = "output_uri"

# The ids of the nodes in a pipeline, by which their folders go.
VERDICT_TASK = "Verdict"
REPORT_TASK = "ReportVerdict"
REPORT_FILE = "verdict.md"


class VerdictExecutor(base_executor.BaseExecutor):
    """Concludes from a judgement and a push."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Run the node, see `Verdict`."""
        judgement = artifact_utils.get_single_uri(input_dict[JUDGEMENT])
        pushed = artifact_utils.get_single_instance(input_dict[PUSHED_MODEL])
        folder = artifact_utils.get_single_uri(output_dict[VERDICT])
        run = RunFolder.of_output(folder, VERDICT_TASK)
        verdict = conclude(
            read_judgement(judgement),
            _push(pushed),
            judged_here=run.holds(judgement),
            pushed_here=run.holds(pushed.uri),
        )
        _write(f"{folder}/{FILE_NAME}", verdict.model_dump_json(indent=2) + "\n")


class ReportVerdictExecutor(base_executor.BaseExecutor):
    """Finds what a run left in its folder, and tells it."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Run the node, see `ReportVerdict`."""
        status = message.FinalStatus.model_validate_json(exec_properties[FINAL_STATUS])
        folder = artifact_utils.get_single_uri(output_dict[REPORT])
        run = RunFolder.of_output(exec_properties[OUTPUT_URI] or folder, REPORT_TASK)
        found = find(run)
        text = message.describe(status, found, pipeline=run.pipeline, run_id=run.run_id)
        print(text, flush=True)
        _write(f"{folder}/{REPORT_FILE}", text)
        if url := exec_properties[WEBHOOK]:
            try:
                webhook.post(url, text, state=status.state, verdict=found.verdict)
            except requests.RequestException as error:
                # Its text would tell the address, which is as good as a password.
                progress.warn(f"kubeflow.webhook did not take the message: {type(error).__name__}")


def find(run: RunFolder) -> message.Found:
    """What a run left in its folder, through TFX's fileio."""
    try:
        verdicts = [
            Verdict.model_validate_json(_read(path))
            for pattern in run.outputs(VERDICT_TASK, VERDICT, FILE_NAME)
            for path in _glob(pattern)
        ]
        failures = [Failure.model_validate_json(_read(path)) for path in _glob(run.failures)]
        # Only an attempt that did well has outputs; the note is then of one before it.
        failures = [one for one in failures if not _glob(f"{run.uri}/{one.task}/*")]
    except Exception as error:  # of any file system; to say how the run ended matters more
        return message.Found(unreadable=f"{type(error).__name__}: {error}")
    return message.Found(
        verdict=verdicts[0] if verdicts else None,
        failures=tuple(sorted(failures, key=lambda failure: failure.task)),
    )


def _push(pushed: types.Artifact) -> Push | None:
    if not pushed.get_int_custom_property("pushed"):
        return None
    return Push(
        version=pushed.get_string_custom_property("pushed_version"),
        label=pushed.get_string_custom_property("label"),
        destination=pushed.get_string_custom_property("pushed_destination"),
    )


def _glob(pattern: str) -> list[str]:
    return sorted(str(path) for path in fileio.glob(pattern))


def _read(path: str) -> str:
    with fileio.open(path, "rb") as file:
        return file.read().decode()


def _write(path: str, text: str) -> None:
    with fileio.open(path, "wb") as file:
        file.write(text.encode())
