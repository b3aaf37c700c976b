"""TFX's Transform where TensorFlow cannot write."""

from __future__ import annotations

from typing import Any

from tfx import types
from tfx.components.transform import executor as tfx_executor

from components import storage


class Executor(tfx_executor.Executor):
    """Has the graph written to a path, by TensorFlow; Beam reads the Examples where they are."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Run the node, see `Transform`."""
        outputs = [artifact for found in output_dict.values() for artifact in found]
        with storage.on_local_paths(outputs=outputs):
            super().Do(input_dict, output_dict, exec_properties)
