"""TFX's Evaluator where TensorFlow cannot read and write."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tfx import types
from tfx import v1 as tfx
from tfx.components.evaluator import executor as tfx_executor
from tfx.dsl.components.base import executor_spec
from tfx.types import standard_component_specs

from components import storage


class Executor(tfx_executor.Executor):
    """Gives TFMA the model and its output where it opens them; Beam reads the scores in place.

    What TensorFlow opens itself stays where it is: Beam's workers write the metrics, and a path of
    this machine would be another one on theirs.
    """

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Run the node, see `Evaluator`."""
        model = input_dict.get(standard_component_specs.MODEL_KEY, [])
        outputs = [artifact for found in output_dict.values() for artifact in found]
        with storage.on_local_paths(inputs=_closed(model), outputs=_closed(outputs)):
            super().Do(input_dict, output_dict, exec_properties)


def _closed(artifacts: Iterable[types.Artifact]) -> list[types.Artifact]:
    return [one for one in artifacts if not storage.opened_by_tensorflow(one.uri)]


class Evaluator(tfx.components.Evaluator):
    """TFX's Evaluator, whose artifacts may lie in any store; see there."""

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)
