"""The last run of an experiment: each node's outputs, and whether they came from the cache."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from pipeline.config import Config, ConfigError
from pipeline.history.graph import History
from pipeline.history.reading import ERROR, pipelines, read_history
from pipeline.metadata import open_store
from pipeline.run_folder import RunFolder


@dataclasses.dataclass(frozen=True)
class Output:
    """One artifact.

    Attributes:
      id: in ML Metadata.
      uri: where it lies.
      properties: what its node noted of it.
    """

    id: int
    uri: str
    properties: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class NodeRecord:
    """One node in one run.

    Attributes:
      cached: whether its outputs are those of an earlier run.
      outputs: its artifacts by their key; of several under one key, the first.
    """

    cached: bool
    outputs: Mapping[str, Output]


def histories(folder: RunFolder) -> list[History]:
    """What ML Metadata holds of the runs of a folder, by pipeline; none where nothing has run.

    Raises:
      MetadataError: if it cannot be reached.
    """
    known = folder.known()
    if known.metadata.store == "sqlite" and not folder.metadata.is_file():
        return []
    store = open_store(known.metadata, folder.metadata)
    found = [read_history(store, name) for name in known.pipelines or pipelines(store)]
    return [history for history in found if history.runs]


def last_run(config: Config, folder: RunFolder) -> dict[str, NodeRecord]:
    """The nodes of an experiment's newest run, by name.

    Raises:
      LookupError: if there was none.
      MetadataError: if ML Metadata cannot be reached.
    """
    found = [one for one in histories(folder) if one.pipeline == config.pipeline_name]
    if not found:
        raise LookupError(f"no run of {config.pipeline_name} in {folder.root}")
    (history,) = found
    return newest(history)


def newest(history: History) -> dict[str, NodeRecord]:
    """The nodes of the newest run of a pipeline, by name."""
    return {
        name: NodeRecord(
            cached=execution.state == "cached",
            outputs={key: _output(history, ids) for key, ids in execution.outputs.items() if ids},
        )
        for name, execution in history.runs[-1].nodes.items()
    }


def note_failure(config: Config, folder: RunFolder, message: str) -> None:
    """Note at the node that failed in an experiment's newest run what the user was told of it."""
    found = [one for one in histories(folder) if one.pipeline == config.pipeline_name]
    failed = [
        execution.id
        for history in found
        for execution in history.runs[-1].executions
        if execution.state == "failed" and not execution.is_resolver
    ]
    if not failed:
        return
    store = open_store(config.metadata, folder.metadata, write=True)
    executions = store.get_executions_by_id(failed)
    for execution in executions:
        execution.custom_properties[ERROR].string_value = message
    store.put_executions(executions)


def require_run(config: Config, folder: RunFolder, nodes: Collection[str]) -> dict[str, NodeRecord]:
    """The newest run of an experiment, for a command that goes on from it.

    Args:
      config: the experiment.
      folder: where it was run.
      nodes: whose outputs are needed.

    Raises:
      ConfigError: if there was no run, or it did not get so far.
    """
    try:
        found = last_run(config, folder)
    except LookupError:
        raise ConfigError(
            f"no run of {config.name} in {folder.root}: cxr run {config.name}"
        ) from None
    missing = [name for name in nodes if name not in found or not found[name].outputs]
    if missing:
        raise ConfigError(
            f"the last run of {config.name} in {folder.root} did not get as far as "
            f"{missing[0]}: cxr run {config.name}"
        )
    return found


def _output(history: History, ids: Sequence[int]) -> Output:
    artifact = history.artifacts[ids[0]]
    return Output(artifact.id, artifact.uri, artifact.properties)
