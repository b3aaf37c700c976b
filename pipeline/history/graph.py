"""The runs of a pipeline as a graph of executions and artifacts: plain data, and walks over it."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

# Nothing comes after it.
LAST_NODE = "Pusher"
LIVE, DELETED = "LIVE", "DELETED"

RunState = Literal["complete", "failed", "killed", "running"]


@dataclasses.dataclass(frozen=True)
class Artifact:
    """What a node wrote.

    Attributes:
      id: in ML Metadata.
      type: such as `Model`.
      uri: where it lies.
      state: `LIVE`, or `DELETED` when it was collected; the cache trusts live ones alone.
      properties: what its node noted of it.
    """

    id: int
    type: str
    uri: str
    state: str
    properties: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Execution:
    """One node in one run.

    Attributes:
      id: in ML Metadata.
      node: its name.
      state: `complete`, `cached`, `failed`, or `running`, which it stays if it is killed.
      is_resolver: whether it only looks for artifacts of earlier runs; it fails where there are
        none, and nothing is wrong then.
      started: in milliseconds since 1970.
      updated: when its state changed last, likewise.
      settings: its execution properties.
      error: why it failed; empty otherwise.
      inputs: ids of artifacts by key.
      outputs: likewise; those of a cached one are an earlier execution's.
    """

    id: int
    node: str
    state: str
    is_resolver: bool
    started: int
    updated: int
    settings: Mapping[str, Any]
    error: str
    inputs: Mapping[str, Sequence[int]]
    outputs: Mapping[str, Sequence[int]]

    @property
    def succeeded(self) -> bool:
        """Whether its outputs are there, its own or an earlier one's."""
        return self.state in ("complete", "cached")

    @property
    def seconds(self) -> float:
        """How long it took."""
        return (self.updated - self.started) / 1000


@dataclasses.dataclass(frozen=True)
class Run:
    """One run.

    Attributes:
      number: counted from 1, the first run of the pipeline.
      id: in ML Metadata: the time when it was started, where it was.
      started: in milliseconds since 1970.
      executions: in the order in which they were started.
    """

    number: int
    id: str
    started: int
    executions: Sequence[Execution]

    @functools.cached_property
    def nodes(self) -> Mapping[str, Execution]:
        """Its executions by node."""
        return {execution.node: execution for execution in self.executions}

    @property
    def seconds(self) -> float:
        """From its start to the last that is known of it."""
        ended = max((execution.updated for execution in self.executions), default=self.started)
        return (ended - self.started) / 1000

    def count(self, state: str) -> int:
        """How many nodes are in a state; resolvers are not counted."""
        return sum(one.state == state and not one.is_resolver for one in self.executions)

    def state(self, running_since: float | None) -> RunState:
        """How it ended, if it did.

        Args:
          running_since: when the run that is at work now was started, in seconds since 1970;
            None without one.
        """
        if self.count("failed"):
            return "failed"
        last = self.nodes.get(LAST_NODE)
        if last is not None and last.succeeded:
            return "complete"
        # The lock is taken before the run is recorded.
        if running_since is not None and self.started >= running_since * 1000 - 1:
            return "running"
        return "killed"


@dataclasses.dataclass(frozen=True)
class History:
    """All runs of a pipeline.

    Attributes:
      pipeline: its name.
      runs: the oldest first.
      artifacts: by id.
    """

    pipeline: str
    runs: Sequence[Run]
    artifacts: Mapping[int, Artifact]

    @functools.cached_property
    def makers(self) -> Mapping[int, Execution]:
        """The execution that made each artifact."""
        return {
            artifact: execution
            for execution in self.executions()
            if execution.state == "complete" and not execution.is_resolver
            for artifact in _ids(execution.outputs)
        }

    def executions(self) -> Iterator[Execution]:
        """Of all runs."""
        for run in self.runs:
            yield from run.executions

    def run_of(self, execution: Execution) -> Run:
        """The run that an execution belongs to."""
        return next(run for run in self.runs if execution in run.executions)

    def outputs(self, execution: Execution, key: str) -> list[Artifact]:
        """What an execution has under a key."""
        return [self.artifacts[one] for one in execution.outputs.get(key, ())]

    def output(self, run: Run, node: str, key: str) -> Artifact | None:
        """What a node of a run has under a key; the first of several."""
        execution = run.nodes.get(node)
        found = self.outputs(execution, key) if execution else []
        return found[0] if found else None

    def descends_from(self, artifacts: Iterable[int]) -> set[int]:
        """These artifacts, and all that they were made from."""
        found: set[int] = set()
        waiting = list(artifacts)
        while waiting:
            one = waiting.pop()
            if one in found:
                continue
            found.add(one)
            if one in self.makers:
                waiting += _ids(self.makers[one].inputs)
        return found

    def uses(self, artifact: int) -> list[Execution]:
        """The executions that read an artifact and succeeded, the newest last."""
        return [
            execution
            for execution in self.executions()
            if execution.succeeded
            and not execution.is_resolver
            and artifact in _ids(execution.inputs)
        ]


def _ids(by_key: Mapping[str, Sequence[int]]) -> list[int]:
    return [one for ids in by_key.values() for one in ids]
