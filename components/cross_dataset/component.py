"""The TFX node that tells what carries over from one dataset to another."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from components.cross_dataset import executor
from components.cross_dataset.artifacts import CrossDatasetReport
from components.trainer.artifacts import Activations


class CrossDatasetMatrixSpec(component_spec.ComponentSpec):
    """Inputs, outputs and settings of `CrossDatasetMatrix`."""

    INPUTS = {
        executor.EXAMPLES: component_spec.ChannelParameter(type=standard_artifacts.Examples),
        executor.TRANSFORM_GRAPH: component_spec.ChannelParameter(
            type=standard_artifacts.TransformGraph
        ),
        executor.HYPERPARAMETERS: component_spec.ChannelParameter(
            type=standard_artifacts.HyperParameters, optional=True
        ),
        executor.ACTIVATIONS: component_spec.ChannelParameter(type=Activations, optional=True),
    }
    OUTPUTS = {executor.REPORT: component_spec.ChannelParameter(type=CrossDatasetReport)}
    PARAMETERS = {
        executor.TRAINER: component_spec.ExecutionParameter(type=str),
        executor.CODE: component_spec.ExecutionParameter(type=str),
    }


class CrossDatasetMatrix(base_component.BaseComponent):
    """Trains a head on each dataset and one on all of them, and tests each on every dataset.

    It takes the embeddings that the Embedder left, or the Trainer in its cache, and computes those
    of the test images alone: run it after the Trainer.

    ```python
    cross_dataset = CrossDatasetMatrix(
        examples=example_gen.outputs["examples"],
        transform_graph=transform.outputs["transform_graph"],
        trainer=custom_config_of_the_trainer,
        code=source_digest("cross_dataset", "statistics", "trainer", "transform"),
    )
    cross_dataset.add_upstream_node(trainer)
    ```

    Component `outputs` contains:

    - `report`: a `CrossDatasetReport`.
    """

    SPEC_CLASS = CrossDatasetMatrixSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(
        self,
        examples: types.BaseChannel,
        transform_graph: types.BaseChannel,
        hyperparameters: types.BaseChannel | None = None,
        activations: types.BaseChannel | None = None,
        *,
        trainer: Mapping[str, Any],
        code: str = "",
    ) -> None:
        """Construct the node.

        Args:
          examples: an `Examples` channel that follows the record of ExampleGen.
          transform_graph: a `TransformGraph` channel.
          hyperparameters: a `HyperParameters` channel of the Tuner, where the Trainer has one.
          activations: an `Activations` channel of the Embedder, where there is one.
          trainer: as in the Trainer's `custom_config`: `settings`, `labels`, `image_size`, and
            `preprocessing`, the digest of Transform's source. The node refuses `findings` as
            labels.
          code: a digest of the source, see `source_digest`.
        """
        super().__init__(
            spec=CrossDatasetMatrixSpec(
                examples=examples,
                transform_graph=transform_graph,
                hyperparameters=hyperparameters,
                activations=activations,
                report=types.Channel(type=CrossDatasetReport),
                trainer=json.dumps(dict(trainer), sort_keys=True),
                code=code,
            )
        )
