"""The TFX node that searches for the head's hyperparameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfx import types
from tfx import v1 as tfx
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec, standard_artifacts, standard_component_specs
from tfx.utils import json_utils

from components.trainer.artifacts import Activations
from components.trainer.executor import ACTIVATIONS
from components.tuner import executor


class TunerSpec(standard_component_specs.TunerSpec):
    """TFX's, with what the Embedder left as one more input."""

    INPUTS = standard_component_specs.TunerSpec.INPUTS | {
        ACTIVATIONS: component_spec.ChannelParameter(type=Activations, optional=True)
    }


class Tuner(base_component.BaseComponent):
    """Searches by a `tuner_fn`, as TFX's own Tuner does.

    ```python
    tuner = Tuner(
        tuner_fn="components.tuner.tuner_fn.tuner_fn",
        examples=example_gen.outputs["examples"],
        transform_graph=transform.outputs["transform_graph"],
        schema=schema_gen.outputs["schema"],
        activations=embedder.outputs["activations"],
        train_args=tfx.proto.TrainArgs(splits=["train"]),
        eval_args=tfx.proto.EvalArgs(splits=["val"]),
        custom_config={"settings": settings, "tuner": {"trials": 30}, ...},
    )
    ```

    Component `outputs` contains:

    - `best_hyperparameters`: a `HyperParameters`, which the Trainer takes.
    - `tuner_results`: a `TunerResults` with all trials.
    """

    SPEC_CLASS = TunerSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(
        self,
        *,
        tuner_fn: str,
        examples: types.BaseChannel,
        transform_graph: types.BaseChannel,
        schema: types.BaseChannel,
        train_args: tfx.proto.TrainArgs,
        eval_args: tfx.proto.EvalArgs,
        custom_config: Mapping[str, Any],
        activations: types.BaseChannel | None = None,
    ) -> None:
        """Construct the node.

        Args:
          tuner_fn: dotted path of the function that lays out the search.
          examples: an `Examples` channel that follows the record of ExampleGen.
          transform_graph: a `TransformGraph` channel.
          schema: a `Schema` channel.
          train_args: which splits to learn from.
          eval_args: which splits to judge by.
          custom_config: handed on to `tuner_fn`.
          activations: an `Activations` channel of the Embedder.
        """
        super().__init__(
            spec=TunerSpec(
                tuner_fn=tuner_fn,
                examples=examples,
                transform_graph=transform_graph,
                schema=schema,
                train_args=train_args,
                eval_args=eval_args,
                custom_config=json_utils.dumps(dict(custom_config)),
                activations=activations,
                best_hyperparameters=types.Channel(type=standard_artifacts.HyperParameters),
                tuner_results=types.Channel(type=standard_artifacts.TunerResults),
            )
        )
