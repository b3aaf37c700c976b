"""TFX's Trainer, where TensorFlow and Keras cannot read and write; and told of activations."""

from __future__ import annotations

from typing import Any

from tfx import types
from tfx.components.trainer import executor as tfx_executor
from tfx.types import artifact_utils, standard_component_specs
from tfx.utils import json_utils

from components import storage

ACTIVATIONS = "activations"

_CONFIG = standard_component_specs.CUSTOM_CONFIG_KEY


class Executor(tfx_executor.GenericExecutor):
    """Has `run_fn` read and write paths; the Examples stay where they are, and are streamed."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Run the node, see `Trainer`."""
        inputs = [
            artifact
            for key, found in input_dict.items()
            if key != standard_component_specs.EXAMPLES_KEY
            for artifact in found
        ]
        outputs = [artifact for found in output_dict.values() for artifact in found]
        with storage.on_local_paths(inputs=inputs, outputs=outputs):
            told = tell_of_activations(input_dict, exec_properties)
            super().Do(input_dict, output_dict, told)


def tell_of_activations(
    input_dict: dict[str, list[types.Artifact]], exec_properties: dict[str, Any]
) -> dict[str, Any]:
    """The execution properties, with the activations' folder in `custom_config`.

    Args:
      input_dict: of a node; where it has no activations the properties stay as they are.
      exec_properties: of the node.
    """
    if not input_dict.get(ACTIVATIONS):
        return exec_properties
    folder = artifact_utils.get_single_uri(input_dict[ACTIVATIONS])
    config = json_utils.loads(exec_properties[_CONFIG])
    return exec_properties | {_CONFIG: json_utils.dumps(config | {ACTIVATIONS: folder})}
