"""Artifacts in, artifacts out."""

from __future__ import annotations

from typing import Any

from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils

from components.example_gen.split import SPLITS
from components.explanation_probe import report
from components.explanation_probe.measuring import measure
from components.explanation_probe.network import Network
from components.explanation_probe.settings import ExplanationProbeSettings
from components.trainer.exported_classifier import load_classifier, read_contract
from components.trainer.tasks import TASKS

EXAMPLES = "examples"
MODEL = "model"
MEASURES = "measures"
LABELS = "labels"
SETTINGS = "settings"
CODE = "code"

# What a model of one finding tells, as boxes name it.
_PNEUMONIA = "Pneumonia"
_FINDINGS = "explanation_probe.findings"


class Executor(base_executor.BaseExecutor):
    """Makes the maps of chosen films, measures them, writes the figures."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Run the node, see `ExplanationProbe`."""
        settings = ExplanationProbeSettings.model_validate_json(exec_properties[SETTINGS])
        uri = artifact_utils.get_single_uri(input_dict[MODEL])
        several = len(TASKS[exec_properties[LABELS]].outputs) > 1
        network = Network(load_classifier(uri), read_contract(uri))
        outputs = (
            {finding: network.contract.output(finding, _FINDINGS) for finding in settings.findings}
            if several
            else {_PNEUMONIA: network.contract.output("", _FINDINGS)}
        )
        files = {split: _files(input_dict[EXAMPLES], split) for split in SPLITS}
        found, rows = measure(network, outputs, files, settings)
        report.write(artifact_utils.get_single_uri(output_dict[MEASURES]), found, rows)


def _files(examples: list[types.Artifact], split: str) -> list[str]:
    uri = artifact_utils.get_split_uri(examples, split)
    return sorted(str(file) for file in fileio.glob(f"{uri}/*.gz"))
