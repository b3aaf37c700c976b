"""The TFX node that explains a classifier on chosen cases."""

from __future__ import annotations

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from components.grad_cam import executor
from components.grad_cam.artifacts import ExplanationReport


class GradCamReportSpec(component_spec.ComponentSpec):
    """Inputs, outputs and settings of `GradCamReport`."""

    INPUTS = {
        executor.EXAMPLES: component_spec.ChannelParameter(type=standard_artifacts.Examples),
        executor.MODEL: component_spec.ChannelParameter(type=standard_artifacts.Model),
    }
    OUTPUTS = {executor.REPORT: component_spec.ChannelParameter(type=ExplanationReport)}
    PARAMETERS = {
        executor.SPLIT: component_spec.ExecutionParameter(type=str),
        executor.FINDING: component_spec.ExecutionParameter(type=str),
        executor.CASES: component_spec.ExecutionParameter(type=int),
        executor.SEED: component_spec.ExecutionParameter(type=int),
        executor.OPACITY: component_spec.ExecutionParameter(type=float),
        executor.CODE: component_spec.ExecutionParameter(type=str),
    }


class GradCamReport(base_component.BaseComponent):
    """Shows on which parts of a film one of the classifier's logits rests.

    It scores a split, chooses telling cases (errors first, see `cases.select_cases`), computes
    their Grad-CAM and writes one HTML file that opens anywhere.

    ```python
    grad_cam = GradCamReport(
        examples=example_gen.outputs["examples"],
        model=trainer.outputs["model"],
        split="test",
        cases=12,
        code=source_digest("grad_cam", "trainer", "transform"),
    )
    ```

    Component `outputs` contains:

    - `report`: an `ExplanationReport`.
    """

    SPEC_CLASS = GradCamReportSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(
        self,
        examples: types.BaseChannel,
        model: types.BaseChannel,
        *,
        split: str = "test",
        finding: str = "",
        cases: int = 12,
        seed: int = 0,
        opacity: float = 0.6,
        code: str = "",
    ) -> None:
        """Construct the node.

        Args:
          examples: an `Examples` channel that follows the record of ExampleGen.
          model: a `Model` channel as the Trainer writes it: the Keras classifier beside the
            exported model and its contract.
          split: which split to explain.
          finding: of a multi-label model, the finding whose logit is explained; empty for a model
            of pneumonia alone.
          cases: how many cases to show, if the split has as many.
          seed: decides between cases that are equal in rank.
          opacity: of the hottest colour on the film, in (0, 1].
          code: a digest of the source, see `source_digest`. Nothing reads it: it is there so
            that an edit invalidates the cached report.

        Raises:
          ValueError: if `cases` or `opacity` is out of range.
        """
        if cases < 1:
            raise ValueError(f"cases must be at least 1, not {cases}")
        if not 0 < opacity <= 1:
            raise ValueError(f"opacity must be in (0, 1], not {opacity}")
        spec = GradCamReportSpec(
            examples=examples,
            model=model,
            report=types.Channel(type=ExplanationReport),
            split=split,
            finding=finding,
            cases=cases,
            seed=seed,
            opacity=opacity,
            code=code,
        )
        super().__init__(spec=spec)
