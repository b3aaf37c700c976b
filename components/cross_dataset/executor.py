"""Artifacts in, artifacts out."""

from __future__ import annotations

import contextlib
import json
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils
from tfx.utils import io_utils

from components.cross_dataset import heads, report
from components.cross_dataset.matrix import FILE_NAME
from components.storage import local_copy
from components.trainer import devices
from components.trainer.hyperparameters import with_hyperparameters
from components.trainer.settings import TrainerSettings

EXAMPLES = "examples"
TRANSFORM_GRAPH = "transform_graph"
HYPERPARAMETERS = "hyperparameters"
ACTIVATIONS = "activations"
REPORT = "report"
TRAINER = "trainer"
CODE = "code"

HTML_FILE = "matrix.html"


class Executor(base_executor.BaseExecutor):
    """Trains the heads, writes the matrix."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Run the node, see `CrossDatasetMatrix`.

        Raises:
          InputError: if the Examples are of one dataset, or labelled with several findings.
          WeightsError: if the backbone's weights cannot be had.
        """
        config = json.loads(exec_properties[TRAINER])
        settings = TrainerSettings.model_validate(config["settings"])
        if found := input_dict.get(HYPERPARAMETERS):
            settings = with_hyperparameters(
                settings, read_hyperparameters(artifact_utils.get_single_uri(found))
            )
        devices.prepare(settings.devices)
        with contextlib.ExitStack() as stack:
            if embedded := input_dict.get(ACTIVATIONS):
                uri = artifact_utils.get_single_uri(embedded)
                config[ACTIVATIONS] = str(stack.enter_context(local_copy(uri)))
            matrix = heads.measure(
                settings,
                config,
                artifact_utils.get_single_uri(input_dict[EXAMPLES]),
                artifact_utils.get_single_uri(input_dict[TRANSFORM_GRAPH]),
            )
        folder = artifact_utils.get_single_uri(output_dict[REPORT])
        contents = {
            FILE_NAME: matrix.model_dump_json(indent=2) + "\n",
            HTML_FILE: report.render_html(matrix),
        }
        for name, text in contents.items():
            with fileio.open(f"{folder}/{name}", "wb") as file:
                file.write(text.encode())


def read_hyperparameters(uri: str) -> dict[str, Any]:
    """What the Tuner found, as `with_hyperparameters` takes it."""
    with fileio.open(io_utils.get_only_uri_in_dir(uri), "rb") as file:
        return json.loads(file.read())
