"""The TFX node that trains the trivial models which the real one must beat."""

from __future__ import annotations

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from components.baseline_probe import executor
from components.baseline_probe.artifacts import ProbeReport
from components.example_gen import record


class BaselineProbeSpec(component_spec.ComponentSpec):
    """Inputs, outputs and settings of `BaselineProbe`."""

    INPUTS = {
        executor.EXAMPLES: component_spec.ChannelParameter(type=standard_artifacts.Examples),
    }
    OUTPUTS = {executor.REPORT: component_spec.ChannelParameter(type=ProbeReport)}
    PARAMETERS = {
        executor.LABELS: component_spec.ExecutionParameter(type=str),
        executor.IMAGE_SIZE: component_spec.ExecutionParameter(type=int),
        executor.CODE: component_spec.ExecutionParameter(type=str),
    }


class BaselineProbe(base_component.BaseComponent):
    """Trains logistic regressions that do not look at the lungs, on the splits of the real model.

    They see a 16x16 thumbnail, the border of the image, or the metadata of its file; where there
    are several datasets, also which one it is of. What they reach, the data gives away.

    ```python
    baseline_probe = BaselineProbe(
        examples=example_gen.outputs["examples"],
        labels="pneumonia",
        image_size=224,
        code=source_digest("baseline_probe", "transform", packages=("scikit-learn",)),
    )
    ```

    Component `outputs` contains:

    - `report`: a `ProbeReport`.
    """

    SPEC_CLASS = BaselineProbeSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(
        self,
        examples: types.BaseChannel,
        *,
        labels: record.Labels = "pneumonia",
        image_size: int = 224,
        code: str = "",
    ) -> None:
        """Construct the node.

        Args:
          examples: an `Examples` channel that follows the record of ExampleGen, with the splits
            train, val and test.
          labels: what Examples are labelled with.
          image_size: side of what the real network sees, in pixels.
          code: a digest of the source, see `source_digest`. Nothing reads it: it is there so
            that an edit invalidates the cached report.
        """
        super().__init__(
            spec=BaselineProbeSpec(
                examples=examples,
                report=types.Channel(type=ProbeReport),
                labels=labels,
                image_size=image_size,
                code=code,
            )
        )
