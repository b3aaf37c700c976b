"""TFX's Tuner, where TensorFlow and KerasTuner cannot read and write; and told of activations."""

from __future__ import annotations

from typing import Any

from tfx import types
from tfx.components.tuner import executor as tfx_executor
from tfx.types import standard_component_specs

from components import storage
from components.trainer.executor import ACTIVATIONS, tell_of_activations


class Executor(tfx_executor.Executor):
    """Gives `tuner_fn` paths; the Examples stay where they are, and are streamed."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Run the node, see `Tuner`."""
        inputs = [
            artifact
            for key in (standard_component_specs.TRANSFORM_GRAPH_KEY, ACTIVATIONS)
            for artifact in input_dict.get(key, [])
        ]
        with (
            storage.scratch() as self._scratch,
            storage.on_local_paths(inputs=inputs),
        ):
            told = tell_of_activations(input_dict, exec_properties)
            super().Do(input_dict, output_dict, told)

    def _get_tmp_dir(self) -> str:
        found = super()._get_tmp_dir()
        return str(self._scratch) if storage.is_remote(found) else found
