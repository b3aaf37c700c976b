"""TFX's Evaluator where TensorFlow cannot read.

TFMA writes with Beam, on whichever machine a worker is: what it writes goes to the artifact's own
URI, and never to a folder that only this machine sees.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import tensorflow_model_analysis as tfma
from tfx import types
from tfx import v1 as tfx
from tfx.components.evaluator import executor as tfx_executor
from tfx.dsl.components.base import executor_spec

from components import storage


class Executor(tfx_executor.Executor):
    """Reads what TFMA validated from a copy, where TensorFlow does not open the store.

    The model stays where it is: TFMA reads the Scorer's answers, and names the model only.
    """

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Run the node, see `Evaluator`."""
        with _validation_in_any_store():
            super().Do(input_dict, output_dict, exec_properties)


class Evaluator(tfx.components.Evaluator):
    """TFX's Evaluator, whose artifacts may lie in any store; see there."""

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)


@contextmanager
def _validation_in_any_store() -> Iterator[None]:
    """Have TFMA's reader open s3:// and so on, too; TFX calls it between writing and blessing."""
    read = tfma.load_validation_result

    def load(uri: str) -> Any:
        if storage.opened_by_tensorflow(uri):
            return read(uri)
        with storage.local_copy(uri) as folder:
            return read(str(folder))

    tfma.load_validation_result = load
    try:
        yield
    finally:
        tfma.load_validation_result = read
