"""ML Metadata as LocalDagRunner writes it, read into a `History`."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ml_metadata.proto import metadata_store_pb2 as mlmd_pb2

from pipeline.history.graph import Artifact, Execution, History, Run

if TYPE_CHECKING:
    import ml_metadata as mlmd

_PIPELINE, _RUN, _NODE = "pipeline", "pipeline_run", "node"
# Of a failed execution: what the user was told. LocalDagRunner notes no reason.
ERROR = "cxr_error"
_RESULT = "__execution_result__"
_STATES = {
    mlmd_pb2.Execution.COMPLETE: "complete",
    mlmd_pb2.Execution.CACHED: "cached",
    mlmd_pb2.Execution.FAILED: "failed",
    mlmd_pb2.Execution.CANCELED: "failed",
}
_ERROR_LINE = re.compile(r"^[A-Za-z_][\w.]*(: |$)")


def pipelines(store: mlmd.MetadataStore) -> list[str]:
    """The names of the pipelines that a store knows."""
    return sorted(context.name for context in store.get_contexts_by_type(_PIPELINE))


def read_history(store: mlmd.MetadataStore, pipeline: str) -> History:
    """All runs of one pipeline.

    Args:
      store: may hold other pipelines, too, whose runs are left out.
      pipeline: its name.
    """
    context = store.get_context_by_type_and_name(_PIPELINE, pipeline)
    if context is None:
        return History(pipeline, (), {})
    found = {one.id: one for one in store.get_executions_by_context(context.id)}
    nodes = {
        execution.id: node.name.removeprefix(f"{pipeline}.")
        for node in store.get_contexts_by_type(_NODE)
        if node.name.startswith(f"{pipeline}.")
        for execution in store.get_executions_by_context(node.id)
    }
    events: dict[int, list[mlmd_pb2.Event]] = defaultdict(list)
    for event in store.get_events_by_execution_ids(list(found)) if found else ():
        events[event.execution_id].append(event)
    artifacts = store.get_artifacts_by_id(
        sorted({event.artifact_id for several in events.values() for event in several})
    )
    runs: list[Run] = []
    for run in sorted(store.get_contexts_by_type(_RUN), key=lambda one: (one.name, one.id)):
        of_run = sorted(
            (one.id for one in store.get_executions_by_context(run.id) if one.id in nodes),
        )
        if of_run:
            executions = [_execution(found[i], nodes[i], events[i]) for i in of_run]
            started = run.create_time_since_epoch
            runs.append(Run(len(runs) + 1, run.name, started, executions))
    return History(pipeline, runs, {one.id: _artifact(one) for one in artifacts})


def _execution(
    execution: mlmd_pb2.Execution, node: str, events: Iterable[mlmd_pb2.Event]
) -> Execution:
    ids: dict[int, dict[str, list[int]]] = {
        mlmd_pb2.Event.INPUT: {},
        mlmd_pb2.Event.OUTPUT: {},
    }
    for event in events:
        if event.type in ids:
            ids[event.type].setdefault(event.path.steps[0].key, []).append(event.artifact_id)
    settings = _values(execution.custom_properties)
    error = settings.pop(ERROR, "") or _error(str(settings.pop(_RESULT, "")))
    state = _STATES.get(execution.last_known_state, "running")
    return Execution(
        id=execution.id,
        node=node,
        state=state,
        is_resolver=execution.type.endswith(".Resolver"),
        started=execution.create_time_since_epoch,
        updated=execution.last_update_time_since_epoch,
        settings=settings,
        error=error if state == "failed" else "",
        inputs=ids[mlmd_pb2.Event.INPUT],
        outputs=ids[mlmd_pb2.Event.OUTPUT],
    )


def _artifact(artifact: mlmd_pb2.Artifact) -> Artifact:
    return Artifact(
        id=artifact.id,
        type=artifact.type,
        uri=artifact.uri,
        state=mlmd_pb2.Artifact.State.Name(artifact.state),
        properties=_values(artifact.custom_properties),
    )


def _values(properties: Mapping[str, mlmd_pb2.Value]) -> dict[str, Any]:
    return {name: getattr(one, one.WhichOneof("value")) for name, one in properties.items()}


def _error(result: str) -> str:
    """The last message of a traceback, which may have several lines."""
    try:
        lines = str(json.loads(result)["resultMessage"]).strip().splitlines()
    except (ValueError, KeyError, TypeError):
        return ""
    for number in reversed(range(len(lines))):
        if _ERROR_LINE.match(lines[number]):
            return "\n".join(_unqualified(lines[number:])).strip()
    return lines[-1] if lines else ""


def _unqualified(lines: Sequence[str]) -> list[str]:
    """`components.errors.InputError: ...` without the module."""
    name, separator, rest = lines[0].partition(": ")
    return [f"{name.rpartition('.')[2]}{separator}{rest}", *lines[1:]]
