"""The TFX node that runs the frozen part of the network over the images, before the Trainer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from components.embedding import executor
from components.embedding.settings import EmbeddingSettings, deciding
from components.trainer.artifacts import Activations
from components.trainer.settings import TrainerSettings


class EmbedderSpec(component_spec.ComponentSpec):
    """Inputs, outputs and settings of `Embedder`."""

    INPUTS = {
        executor.EXAMPLES: component_spec.ChannelParameter(type=standard_artifacts.Examples),
        executor.TRANSFORM_GRAPH: component_spec.ChannelParameter(
            type=standard_artifacts.TransformGraph
        ),
    }
    OUTPUTS = {executor.ACTIVATIONS: component_spec.ChannelParameter(type=Activations)}
    PARAMETERS = {
        executor.SPLITS: component_spec.ExecutionParameter(type=str),
        executor.NETWORK: component_spec.ExecutionParameter(type=str),
        executor.SETTINGS: component_spec.ExecutionParameter(type=str),
        executor.CODE: component_spec.ExecutionParameter(type=str),
    }


class Embedder(base_beam_component.BaseBeamComponent):
    """Runs the frozen part of the network over every image, on Beam's workers.

    What learns afterwards takes its rows from there, and opens no image: the Trainer, the Tuner,
    the cross-dataset matrix. Each computes itself what is missing, such as altered views, or all
    where its network turns out to be another.

    ```python
    embedder = Embedder(
        examples=example_gen.outputs["examples"],
        transform_graph=transform.outputs["transform_graph"],
        splits=("train", "val"),
        trainer=custom_config_of_the_trainer,
        settings=EmbeddingSettings(enabled=True, threads=2),
        code=source_digest("embedding", "trainer", "transform"),
    )
    ```

    Component `outputs` contains:

    - `activations`: `Activations`, one row for each image of different content.
    """

    SPEC_CLASS = EmbedderSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(executor.Executor)

    def __init__(
        self,
        examples: types.BaseChannel,
        transform_graph: types.BaseChannel,
        *,
        splits: Sequence[str],
        trainer: Mapping[str, Any],
        settings: EmbeddingSettings | None = None,
        code: str = "",
    ) -> None:
        """Construct the node.

        Args:
          examples: an `Examples` channel that follows the record of ExampleGen.
          transform_graph: a `TransformGraph` channel.
          splits: whose images.
          trainer: as in the Trainer's `custom_config`: `settings`, `image_size`, `preprocessing`,
            the digest of Transform's source, and `weights`, that of a weights file. Of the
            settings those count that decide the frozen part.
          settings: of the Embedder.
          code: a digest of the source, see `source_digest`. Nothing reads it: it is there so
            that an edit invalidates cached activations.
        """
        network = {name: trainer.get(name) for name in ("image_size", "preprocessing", "weights")}
        network["settings"] = deciding(TrainerSettings.model_validate(trainer["settings"]))
        super().__init__(
            spec=EmbedderSpec(
                examples=examples,
                transform_graph=transform_graph,
                activations=types.Channel(type=Activations),
                splits=json.dumps(list(splits)),
                network=json.dumps(network, sort_keys=True),
                settings=(settings or EmbeddingSettings()).model_dump_json(),
                code=code,
            )
        )
