"""The TFX node that runs the exported model over the images that it was not trained on."""

from __future__ import annotations

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from components.scorer import executor
from components.scorer.settings import ScorerSettings


class ScorerSpec(component_spec.ComponentSpec):
    """Inputs, outputs and settings of `Scorer`."""

    INPUTS = {
        executor.EXAMPLES: component_spec.ChannelParameter(type=standard_artifacts.Examples),
        executor.MODEL: component_spec.ChannelParameter(type=standard_artifacts.Model),
        executor.LAST_MODEL: component_spec.ChannelParameter(
            type=standard_artifacts.Model, optional=True
        ),
    }
    OUTPUTS = {executor.SCORES: component_spec.ChannelParameter(type=standard_artifacts.Examples)}
    PARAMETERS = {
        executor.SETTINGS: component_spec.ExecutionParameter(type=str),
        executor.CODE: component_spec.ExecutionParameter(type=str),
    }


class Scorer(base_component.BaseComponent):
    """Replaces images by what the exported model says of them, as it will be served.

    Each image runs through the network once, and everything that judges the model reads the
    scores. Where there is a last blessed model, it answers for the same images.

    ```python
    scorer = Scorer(
        examples=example_gen.outputs["examples"],
        model=trainer.outputs["model"],
        last_model=last_model.outputs["model"],
        settings=ScorerSettings(batch_size=32),
        code=source_digest("scorer"),
    )
    ```

    Component `outputs` contains:

    - `scores`: `Examples` without pixels, in those of the splits `val`, `test` and
      `test_unsampled` that there are; see `scores.read_scores`.
    """

    SPEC_CLASS = ScorerSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(
        self,
        examples: types.BaseChannel,
        model: types.BaseChannel,
        last_model: types.BaseChannel | None = None,
        *,
        settings: ScorerSettings | None = None,
        code: str = "",
    ) -> None:
        """Construct the node.

        Args:
          examples: an `Examples` channel that follows the record of ExampleGen.
          model: a `Model` channel as the Trainer writes it.
          last_model: a `Model` channel of the last blessed model, which may be empty. A model
            with other outputs is left out, with a warning.
          settings: of the Scorer.
          code: a digest of the source, see `source_digest`. Nothing reads it: it is there so
            that an edit invalidates cached scores.
        """
        super().__init__(
            spec=ScorerSpec(
                examples=examples,
                model=model,
                last_model=last_model,
                scores=types.Channel(type=standard_artifacts.Examples),
                settings=(settings or ScorerSettings()).model_dump_json(),
                code=code,
            )
        )
