"""Runs in a few words each: how they ended, and what came of them."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from components.example_gen.datasets.files import read_bytes
from pipeline.history.graph import LIVE, Execution, History, Run, RunState

if TYPE_CHECKING:
    from components.evaluator.judgement import SlicePerformance

BLESSED, REFUSED = "blessed", "refused"
NOT_REACHED = "not reached"


@dataclasses.dataclass(frozen=True)
class RunOverview:
    """One run.

    Attributes:
      run: `EXPERIMENT/NUMBER`, as commands take it.
      pipeline: its name in ML Metadata.
      started: ISO 8601, in UTC.
      seconds: to the last that is known of it.
      state: how it ended.
      node: the node that failed, or at which it was killed or is; empty for a complete run.
      cached: nodes that came from the cache.
      executed: nodes that did their work.
      verdict: of the gate and the canary; empty where the run did not get so far.
      auc: on test images, by dataset; empty where the judgement is gone.
      version: that was pushed; empty if none was.
    """

    run: str
    pipeline: str
    started: str
    seconds: float
    state: RunState
    node: str
    cached: int
    executed: int
    verdict: str
    auc: Mapping[str, float | None]
    version: str


@dataclasses.dataclass(frozen=True)
class NodeOverview:
    """One node of a run.

    Attributes:
      node: its name.
      state: of its execution; `killed` if the run was, and `not reached`.
      execution: id in ML Metadata; None if it was not reached.
      seconds: how long it took; None if it did no work, or nobody knows.
      outputs: URIs by key; those of deleted artifacts say so.
      error: why it failed.
    """

    node: str
    state: str
    execution: int | None
    seconds: float | None
    outputs: Mapping[str, Sequence[str]]
    error: str


def overview(history: History, run: Run, name: str, running_since: float | None) -> RunOverview:
    """One run in a few words.

    Args:
      history: of its pipeline.
      run: of it.
      name: of the experiment, as commands take it.
      running_since: see `Run.state`.
    """
    state = run.state(running_since)
    pushed = history.output(run, "Pusher", "pushed_model")
    started = datetime.datetime.fromtimestamp(run.started / 1000, datetime.UTC)
    return RunOverview(
        run=f"{name}/{run.number}",
        pipeline=history.pipeline,
        started=started.isoformat(timespec="seconds"),
        seconds=run.seconds,
        state=state,
        node="" if state == "complete" else _stopped_at(run),
        cached=run.count("cached"),
        executed=run.count("complete"),
        verdict=_verdict(history, run),
        auc=_auc(history, run),
        version=str(pushed.properties.get("pushed_version", "")) if pushed else "",
    )


def node_overviews(history: History, run: Run, running_since: float | None) -> list[NodeOverview]:
    """The nodes of a run in their order, with those that it should have come to."""
    unfinished = run.state(running_since)
    found = [_node(history, one, unfinished) for one in run.executions]
    if unfinished == "complete":
        return found
    # As the newest run that got to the end had them.
    complete = [one for one in history.runs if one.state(None) == "complete"]
    expected = complete[-1].nodes if complete else ()
    missing = [node for node in expected if node not in run.nodes]
    return [*found, *(NodeOverview(node, NOT_REACHED, None, None, {}, "") for node in missing)]


def _node(history: History, execution: Execution, run_state: RunState) -> NodeOverview:
    state = execution.state
    if execution.is_resolver:
        # It fails where no earlier run made anything; there was nothing to find.
        state = "resolved" if execution.succeeded else "nothing found"
    elif state == "running" and run_state != "running":
        state = "killed"
    did_work = execution.state in ("complete", "failed")
    return NodeOverview(
        node=execution.node,
        state=state,
        execution=execution.id,
        seconds=execution.seconds if did_work else None,
        outputs={
            key: [_place(history, one) for one in ids] for key, ids in execution.outputs.items()
        },
        error="" if execution.is_resolver else execution.error,
    )


def _place(history: History, artifact: int) -> str:
    one = history.artifacts[artifact]
    return one.uri if one.state == LIVE else f"{one.uri} ({one.state.lower()})"


def _stopped_at(run: Run) -> str:
    stopped = [one.node for one in run.executions if not one.succeeded and not one.is_resolver]
    return stopped[-1] if stopped else ""


def _verdict(history: History, run: Run) -> str:
    blessing = history.output(run, "ModelGate", "blessing")
    if blessing is None:
        return ""
    canary = history.output(run, "InfraCanary", "blessing")
    blessings = [blessing, *([canary] if canary else [])]
    return BLESSED if all(one.properties.get("blessed") for one in blessings) else REFUSED


def _auc(history: History, run: Run) -> dict[str, float | None]:
    judgement = history.output(run, "ModelGate", "judgement")
    if judgement is None or judgement.state != LIVE:
        return {}
    from components.evaluator.judgement import FILE_NAME, Judgement

    try:
        found = Judgement.model_validate_json(read_bytes(f"{judgement.uri}/{FILE_NAME}"))
    except (OSError, ValueError):  # gone, or of another version
        return {}
    return {
        one.slice["dataset"]: _estimate(one)
        for one in found.splits.get("test", ())
        if set(one.slice) == {"dataset"}
    }


def _estimate(performance: SlicePerformance) -> float | None:
    """The AUC of a model of one finding, the macro AUC of another."""
    found = performance.macro_auc
    if len(performance.findings) == 1:
        found = performance.findings[0].auc
    return None if found is None else found.estimate
