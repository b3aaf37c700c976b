"""TFX's ExampleValidator where TensorFlow cannot read."""

from __future__ import annotations

from typing import Any

from tfx import types
from tfx import v1 as tfx
from tfx.components.example_validator import executor as tfx_executor
from tfx.dsl.components.base import executor_spec
from tfx.types import standard_component_specs

from components import storage


class Executor(tfx_executor.Executor):
    """Gives TFDV the statistics on a path."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Run the node, see `ExampleValidator`."""
        statistics = input_dict[standard_component_specs.STATISTICS_KEY]
        with storage.on_local_paths(inputs=statistics):
            super().Do(input_dict, output_dict, exec_properties)


class ExampleValidator(tfx.components.ExampleValidator):
    """TFX's ExampleValidator, whose artifacts may lie in any store; see there."""

    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)
