"""The TFX nodes that say how a run on a cluster ended."""

from __future__ import annotations

from tfx import types
from tfx import v1 as tfx
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from components.evaluator.artifacts import Judgement
from components.verdict import executor
from components.verdict.artifacts import RunVerdict, VerdictReport


class VerdictSpec(component_spec.ComponentSpec):
    """Inputs and output of `Verdict`."""

    INPUTS = {
        executor.JUDGEMENT: component_spec.ChannelParameter(type=Judgement),
        executor.PUSHED_MODEL: component_spec.ChannelParameter(type=standard_artifacts.PushedModel),
    }
    OUTPUTS = {executor.VERDICT: component_spec.ChannelParameter(type=RunVerdict)}
    PARAMETERS: dict = {}


class Verdict(base_component.BaseComponent):
    """Writes down in a run's own folder what became of its model.

    `ReportVerdict` looks for it there: an exit handler gets no artifacts, and those of ModelGate
    and Pusher lie in the folder of an earlier run where they came from the cache. It must
    therefore never come from the cache itself.

    ```python
    verdict = Verdict(
        judgement=model_gate.outputs["judgement"],
        pushed_model=pusher.outputs["pushed_model"],
    )
    ```

    Component `outputs` contains:

    - `verdict`: a `RunVerdict`.
    """

    SPEC_CLASS = VerdictSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.VerdictExecutor)

    def __init__(self, judgement: types.BaseChannel, pushed_model: types.BaseChannel) -> None:
        """Construct the node.

        Args:
          judgement: the `Judgement` channel of ModelGate.
          pushed_model: the `PushedModel` channel of Pusher.
        """
        super().__init__(
            spec=VerdictSpec(
                judgement=judgement,
                pushed_model=pushed_model,
                verdict=types.Channel(type=RunVerdict),
            )
        )


class ReportVerdictSpec(component_spec.ComponentSpec):
    """Output and settings of `ReportVerdict`."""

    INPUTS: dict = {}
    OUTPUTS = {executor.REPORT: component_spec.ChannelParameter(type=VerdictReport)}
    PARAMETERS = {
        executor.FINAL_STATUS: component_spec.ExecutionParameter(type=str),
        executor.WEBHOOK: component_spec.ExecutionParameter(type=str),
        executor.OUTPUT_URI: component_spec.ExecutionParameter(type=str),
    }


class ReportVerdict(base_component.BaseComponent):
    """The exit handler: says how a run ended, whatever happened in it.

    It prints the message, writes it as Markdown, and posts it to a webhook as JSON with the field
    `text`, as Slack, Mattermost and Google Chat take it. A webhook that does not answer is no
    failure of the run.

    ```python
    runner.set_exit_handler(ReportVerdict(webhook="https://hooks.example.org/cxr"))
    ```

    Component `outputs` contains:

    - `report`: a `VerdictReport`.
    """

    SPEC_CLASS = ReportVerdictSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.ReportVerdictExecutor)

    def __init__(self, *, webhook: str = "") -> None:
        """Construct the node.

        Args:
          webhook: URL that the message is posted to; empty for none.
        """
        super().__init__(
            spec=ReportVerdictSpec(
                # Kubeflow puts the status of all other tasks in its place.
                final_status=tfx.orchestration.experimental.FinalStatusStr(),
                webhook=webhook,
                # Filled in where the node runs, if what it writes is a local copy.
                output_uri="",
                report=types.Channel(type=VerdictReport),
            )
        )
