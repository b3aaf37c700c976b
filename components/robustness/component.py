"""The TFX node that tries a model on worse films."""

from __future__ import annotations

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from components.example_gen import record
from components.robustness import executor
from components.robustness.artifacts import RobustnessReport
from components.robustness.settings import RobustnessSettings


class RobustnessSpec(component_spec.ComponentSpec):
    """Inputs, outputs and settings of `Robustness`."""

    INPUTS = {
        executor.EXAMPLES: component_spec.ChannelParameter(type=standard_artifacts.Examples),
        executor.MODEL: component_spec.ChannelParameter(type=standard_artifacts.Model),
    }
    OUTPUTS = {executor.REPORT: component_spec.ChannelParameter(type=RobustnessReport)}
    PARAMETERS = {
        executor.SPLIT: component_spec.ExecutionParameter(type=str),
        executor.LABELS: component_spec.ExecutionParameter(type=str),
        executor.SETTINGS: component_spec.ExecutionParameter(type=str),
        executor.CODE: component_spec.ExecutionParameter(type=str),
    }


class Robustness(base_component.BaseComponent):
    """Asks the exported model about worse films: less contrast, brighter, noisy, blurred, turned.

    The same films under each corruption, at up to three severities, through the graph that is
    served. AUC tells whether the model still ranks them, the calibration error whether its
    probabilities still mean what they say.

    ```python
    robustness = Robustness(
        examples=example_gen.outputs["examples"],
        model=trainer.outputs["model"],
        split="test",
        labels="pneumonia",
        settings=RobustnessSettings(max_images=200),
        code=source_digest("robustness", packages=("opencv-python-headless",)),
    )
    ```

    Component `outputs` contains:

    - `report`: a `RobustnessReport`.
    """

    SPEC_CLASS = RobustnessSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(
        self,
        examples: types.BaseChannel,
        model: types.BaseChannel,
        *,
        split: str = "test",
        labels: record.Labels = "pneumonia",
        settings: RobustnessSettings | None = None,
        code: str = "",
    ) -> None:
        """Construct the node.

        Args:
          examples: an `Examples` channel that follows the record of ExampleGen.
          model: a `Model` channel as the Trainer writes it.
          split: which films.
          labels: what Examples are labelled with.
          settings: how many films, and how much worse.
          code: a digest of the source, see `source_digest`. Nothing reads it: it is there so
            that an edit invalidates the cached report.
        """
        super().__init__(
            spec=RobustnessSpec(
                examples=examples,
                model=model,
                report=types.Channel(type=RobustnessReport),
                split=split,
                labels=labels,
                settings=(settings or RobustnessSettings()).model_dump_json(exclude={"enabled"}),
                code=code,
            )
        )
