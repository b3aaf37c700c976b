"""What became of the model of a run."""

from __future__ import annotations

from components.evaluator.judgement import LAST_BLESSED, Judgement
from components.plain import Plain

FILE_NAME = "verdict.json"


class Push(Plain):
    """What the Pusher did.

    Attributes:
      version: under which the model was pushed.
      label: that servers go by, such as `stable`.
      destination: the version's folder.
    """

    version: str
    label: str
    destination: str


class Verdict(Plain):
    """The end of a run that reached its end.

    Attributes:
      blessed: whether the gates let the model pass.
      report_only: whether they were asked to refuse nothing.
      refused_by: what was asked and not met, a sentence each.
      judged_here: whether this run judged the model; else the judgement of an earlier run on the
        same model and data was taken from the cache.
      push: None if the model was not pushed.
      pushed_here: likewise for the push.
      compared: whether the model was compared with the one that was blessed before.
    """

    blessed: bool
    report_only: bool
    refused_by: tuple[str, ...]
    judged_here: bool
    push: Push | None
    pushed_here: bool
    compared: bool


class Failure(Plain):
    """A task that failed, as its container told.

    Attributes:
      task: its name.
      message: why, in one paragraph.
    """

    task: str
    message: str


def conclude(
    judgement: Judgement, push: Push | None, *, judged_here: bool, pushed_here: bool
) -> Verdict:
    """What a judgement and a push come to."""
    return Verdict(
        blessed=judgement.blessed,
        report_only=judgement.report_only,
        refused_by=tuple(
            f"{gate.name} ({gate.dataset}): {gate.sentence}" for gate in judgement.refused_by
        ),
        judged_here=judged_here,
        push=push,
        pushed_here=pushed_here,
        compared=any(baseline.name == LAST_BLESSED for baseline in judgement.baselines),
    )
