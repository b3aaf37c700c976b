"""Artifacts in, artifacts out."""

from __future__ import annotations

from typing import Any

from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils

from components.baseline_probe import features, probe, report
from components.example_gen.split import SPLITS
from components.trainer.tasks import TASKS

EXAMPLES = "examples"
REPORT = "report"
LABELS = "labels"
IMAGE_SIZE = "image_size"
CODE = "code"


class Executor(base_executor.BaseExecutor):
    """Measures the images once, fits the probes, writes what they reach."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Run the node, see `BaselineProbe`.

        Raises:
          InputError: if a split has no image.
        """
        task = TASKS[exec_properties[LABELS]]
        splits = {
            name: features.measure(
                _files(input_dict[EXAMPLES], name),
                task.feature,
                len(task.outputs),
                exec_properties[IMAGE_SIZE],
                name,
            )
            for name in SPLITS
        }
        probes = [probe.run_probe(name, splits) for name in features.SEES]
        if any(len(set(split.datasets)) > 1 for split in splits.values()):
            probes.append(probe.run_identity(splits))
        report.write(
            artifact_utils.get_single_uri(output_dict[REPORT]), probes, splits, task.outputs
        )


def _files(examples: list[types.Artifact], split: str) -> list[str]:
    uri = artifact_utils.get_split_uri(examples, split)
    return sorted(str(file) for file in fileio.glob(f"{uri}/*.gz"))
