"""The TFX node that explains a classifier on chosen cases."""

from __future__ import annotations

from tfx import types
from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from components.grad_cam import executor
from components.grad_cam.artifacts import ExplanationReport
from components.grad_cam.settings import GradCamSettings


class GradCamReportSpec(component_spec.ComponentSpec):
    """Inputs, outputs and settings of `GradCamReport`."""

    INPUTS = {
        executor.EXAMPLES: component_spec.ChannelParameter(type=standard_artifacts.Examples),
        executor.MODEL: component_spec.ChannelParameter(type=standard_artifacts.Model),
        executor.SCORES: component_spec.ChannelParameter(type=standard_artifacts.Examples),
        executor.EVALUATION: component_spec.ChannelParameter(
            type=standard_artifacts.ModelEvaluation, optional=True
        ),
    }
    OUTPUTS = {executor.REPORT: component_spec.ChannelParameter(type=ExplanationReport)}
    PARAMETERS = {
        executor.SPLIT: component_spec.ExecutionParameter(type=str),
        executor.FINDING: component_spec.ExecutionParameter(type=str),
        executor.SETTINGS: component_spec.ExecutionParameter(type=str),
        executor.CODE: component_spec.ExecutionParameter(type=str),
    }


class GradCamReport(base_beam_component.BaseBeamComponent):
    """Shows on which parts of a film one of the classifier's logits rests.

    It chooses telling cases by their scores (errors first, see `cases.select_cases`), has the
    exported model explain them, as a server would, and writes a page that opens anywhere, the
    pictures, and an index for programs.

    ```python
    grad_cam = GradCamReport(
        examples=example_gen.outputs["examples"],
        model=trainer.outputs["model"],
        scores=scorer.outputs["scores"],
        evaluation=evaluator.outputs["evaluation"],
        split="test",
        settings=GradCamSettings(cases=48, named=("person1_virus_6.jpeg",)),
        code=source_digest("grad_cam"),
    )
    ```

    Component `outputs` contains:

    - `report`: an `ExplanationReport`.
    """

    SPEC_CLASS = GradCamReportSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(executor.Executor)

    def __init__(
        self,
        examples: types.BaseChannel,
        model: types.BaseChannel,
        scores: types.BaseChannel,
        evaluation: types.BaseChannel | None = None,
        *,
        split: str = "test",
        finding: str = "",
        settings: GradCamSettings | None = None,
        code: str = "",
    ) -> None:
        """Construct the node.

        Args:
          examples: an `Examples` channel that follows the record of ExampleGen.
          model: a `Model` channel as the Trainer writes it: with the signature `explain`.
          scores: the `scores` channel of the Scorer.
          evaluation: a `ModelEvaluation` channel of the same split: the page then says of each
            slice how well the model does on all of it, which a choice of cases cannot.
          split: which split to explain.
          finding: of a multi-label model, the finding whose logit is explained; empty for a model
            of pneumonia alone.
          settings: of the choice and the page; what they say of the finding is left to `finding`.
          code: a digest of the source, see `source_digest`. Nothing reads it: it is there so
            that an edit invalidates the cached report.
        """
        super().__init__(
            spec=GradCamReportSpec(
                examples=examples,
                model=model,
                scores=scores,
                evaluation=evaluation,
                report=types.Channel(type=ExplanationReport),
                split=split,
                finding=finding,
                settings=(settings or GradCamSettings()).model_dump_json(),
                code=code,
            )
        )
