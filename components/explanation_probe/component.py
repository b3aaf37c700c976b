"""The TFX node that measures how good a model's explanations are."""

from __future__ import annotations

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from components.example_gen import record
from components.explanation_probe import executor
from components.explanation_probe.artifacts import ExplanationMeasures
from components.explanation_probe.settings import ExplanationProbeSettings


class ExplanationProbeSpec(component_spec.ComponentSpec):
    """Inputs, outputs and settings of `ExplanationProbe`."""

    INPUTS = {
        executor.EXAMPLES: component_spec.ChannelParameter(type=standard_artifacts.Examples),
        executor.MODEL: component_spec.ChannelParameter(type=standard_artifacts.Model),
    }
    OUTPUTS = {executor.MEASURES: component_spec.ChannelParameter(type=ExplanationMeasures)}
    PARAMETERS = {
        executor.LABELS: component_spec.ExecutionParameter(type=str),
        executor.SETTINGS: component_spec.ExecutionParameter(type=str),
        executor.CODE: component_spec.ExecutionParameter(type=str),
    }


class ExplanationProbe(base_component.BaseComponent):
    """Measures heat maps: do they lie where experts drew boxes, and do they show what was learnt?

    Localisation where there are boxes, beside what a random pixel, the centre of the film and a
    location prior reach; deletion and insertion curves; and a comparison with the maps of the same
    network with randomised weights.

    ```python
    explanation_probe = ExplanationProbe(
        examples=example_gen.outputs["examples"],
        model=trainer.outputs["model"],
        labels="pneumonia",
        settings=ExplanationProbeSettings(splits=("val", "test")),
        code=source_digest("explanation_probe", "explanation", "trainer", "transform"),
    )
    ```

    Component `outputs` contains:

    - `measures`: an `ExplanationMeasures`.
    """

    SPEC_CLASS = ExplanationProbeSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(
        self,
        examples: types.BaseChannel,
        model: types.BaseChannel,
        *,
        labels: record.Labels = "pneumonia",
        settings: ExplanationProbeSettings | None = None,
        code: str = "",
    ) -> None:
        """Construct the node.

        Args:
          examples: an `Examples` channel that follows the record of ExampleGen, with the splits
            train, val and test.
          model: a `Model` channel as the Trainer writes it.
          labels: what Examples are labelled with.
          settings: which films, and how many.
          code: a digest of the source, see `source_digest`. Nothing reads it: it is there so
            that an edit invalidates cached figures.
        """
        settings = settings or ExplanationProbeSettings()
        super().__init__(
            spec=ExplanationProbeSpec(
                examples=examples,
                model=model,
                measures=types.Channel(type=ExplanationMeasures),
                labels=labels,
                settings=settings.model_dump_json(exclude={"enabled"}),
                code=code,
            )
        )
