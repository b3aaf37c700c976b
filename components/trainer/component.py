"""The TFX node that trains and exports the classifier."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfx import types
from tfx import v1 as tfx
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec, standard_artifacts, standard_component_specs
from tfx.utils import json_utils

from components.trainer import executor
from components.trainer.artifacts import Activations


class TrainerSpec(standard_component_specs.TrainerSpec):
    """TFX's, with what the Embedder left as one more input."""

    INPUTS = standard_component_specs.TrainerSpec.INPUTS | {
        executor.ACTIVATIONS: component_spec.ChannelParameter(type=Activations, optional=True)
    }


class Trainer(base_component.BaseComponent):
    """Trains the classifier by a `run_fn`, as TFX's own Trainer does.

    Where there are activations, it need not run the images through the frozen part of the network.

    ```python
    trainer = Trainer(
        run_fn="components.trainer.run_fn.run_fn",
        examples=example_gen.outputs["examples"],
        transform_graph=transform.outputs["transform_graph"],
        schema=schema_gen.outputs["schema"],
        activations=embedder.outputs["activations"],
        train_args=tfx.proto.TrainArgs(splits=["train"]),
        eval_args=tfx.proto.EvalArgs(splits=["val"]),
        custom_config={"settings": settings, "labels": "pneumonia", "image_size": 224, ...},
    )
    ```

    Component `outputs` contains:

    - `model`: a `Model`, the exported SavedModel.
    - `model_run`: a `ModelRun`: TensorBoard's logs and the training curves.
    """

    SPEC_CLASS = TrainerSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(
        self,
        *,
        run_fn: str,
        examples: types.BaseChannel,
        transform_graph: types.BaseChannel,
        schema: types.BaseChannel,
        train_args: tfx.proto.TrainArgs,
        eval_args: tfx.proto.EvalArgs,
        custom_config: Mapping[str, Any],
        activations: types.BaseChannel | None = None,
        base_model: types.BaseChannel | None = None,
        hyperparameters: types.BaseChannel | None = None,
    ) -> None:
        """Construct the node.

        Args:
          run_fn: dotted path of the function that trains.
          examples: an `Examples` channel that follows the record of ExampleGen.
          transform_graph: a `TransformGraph` channel.
          schema: a `Schema` channel.
          train_args: which splits to learn from.
          eval_args: which splits to judge by.
          custom_config: handed on to `run_fn`.
          activations: an `Activations` channel of the Embedder.
          base_model: a `Model` channel to begin with, which may be empty.
          hyperparameters: a `HyperParameters` channel of the Tuner.
        """
        super().__init__(
            spec=TrainerSpec(
                run_fn=run_fn,
                examples=examples,
                transform_graph=transform_graph,
                schema=schema,
                train_args=train_args,
                eval_args=eval_args,
                custom_config=json_utils.dumps(dict(custom_config)),
                activations=activations,
                base_model=base_model,
                hyperparameters=hyperparameters,
                model=types.Channel(type=standard_artifacts.Model),
                model_run=types.Channel(type=standard_artifacts.ModelRun),
            )
        )
