"""What is told of a run that ended, in Markdown."""

from __future__ import annotations

from collections.abc import Sequence

import pydantic

from components.disclaimer import DISCLAIMER
from components.plain import Plain
from components.verdict.verdict import Failure, Verdict

# ML Metadata's words in open-source Kubeflow Pipelines, and those of its API.
_DONE = {"COMPLETE", "CACHED", "SUCCEEDED"}
_CANCELLED = {"CANCELED", "CANCELLED", "CANCELING", "CANCELLING"}
_FAILED = {"FAILED"}


class FinalStatus(pydantic.BaseModel):
    """KFP's `PipelineTaskFinalStatus`, as far as it is used.

    Attributes:
      state: of all tasks but the exit handler.
    """

    # KFP's versions differ in what else they tell.
    model_config = pydantic.ConfigDict(extra="ignore", frozen=True)

    state: str = ""

    @property
    def done(self) -> bool:
        """Whether all tasks were."""
        return self.state in _DONE


class Found(Plain):
    """What the store holds of a run.

    Attributes:
      verdict: None if the run did not get as far.
      failures: of tasks whose last attempt failed.
      unreadable: why the store could not be read; empty if it could.
    """

    verdict: Verdict | None = None
    failures: tuple[Failure, ...] = ()
    unreadable: str = ""


def describe(status: FinalStatus, found: Found, *, pipeline: str, run_id: str) -> str:
    """The message.

    Args:
      status: as Kubeflow tells it.
      found: in the run's folder.
      pipeline: the pipeline's name.
      run_id: as Kubeflow gave it.
    """
    lines = [f"**{pipeline}**, run `{run_id}`: {_headline(status, found)}", ""]
    lines += _details(status, found)
    return "\n".join([*lines, "", f"_{DISCLAIMER}_", ""])


def _headline(status: FinalStatus, found: Found) -> str:
    if status.state in _FAILED:
        tasks = ", ".join(failure.task for failure in found.failures)
        return f"failed in {tasks}." if tasks else "failed."
    if status.state in _CANCELLED:
        return "was cancelled."
    if not status.done:
        return f"has ended, but Kubeflow calls its state {status.state or 'unknown'}."
    if found.verdict is None:
        return "done; what became of the model is not known."
    return _outcome(found.verdict)


def _outcome(verdict: Verdict) -> str:
    if not verdict.blessed:
        return "done. The model is **not blessed**, and was not pushed."
    if verdict.push is None:
        return "done. The model is **blessed**, but was **not pushed**: see InfraCanary."
    when = "pushed" if verdict.pushed_here else "had been pushed by an earlier run"
    return (
        f"done. The model is **blessed**, and {when} as version {verdict.push.version} "
        f"({verdict.push.label}) to `{verdict.push.destination}`."
    )


def _details(status: FinalStatus, found: Found) -> list[str]:
    lines: list[str] = []
    if found.unreadable:
        lines.append(f"The run's folder could not be read: {found.unreadable}")
    if not status.done:
        lines += [f"- {failure.task}: {failure.message}" for failure in found.failures]
        if status.state in _FAILED and not found.failures and not found.unreadable:
            lines.append(
                "No task left a note of why: its container may have been killed, for want of "
                "memory for instance. Kubeflow's page of the run tells which it was."
            )
        if found.verdict is not None:
            lines.append(f"Before that: {_outcome(found.verdict)}")
    if found.verdict is not None:
        lines += _grounds(found.verdict)
    elif status.done and not found.unreadable:
        lines.append("The run's folder holds no verdict.")
    return lines


def _grounds(verdict: Verdict) -> Sequence[str]:
    lines = [f"- {sentence}" for sentence in verdict.refused_by]
    if verdict.report_only and lines:
        lines.insert(0, "The gates were asked to report only; they would have refused it:")
    if not verdict.judged_here:
        lines.append(
            "The judgement is that of an earlier run on the same model and data, from the cache."
        )
    if not verdict.compared:
        lines.append(
            "Nothing was compared with earlier runs, which this engine does not find: neither the "
            "model with the one blessed last, nor the data with that accepted last."
        )
    return lines
