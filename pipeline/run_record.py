"""What ML Metadata holds of a run: each node's outputs, and whether they came from the cache."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import ml_metadata as mlmd
from ml_metadata.proto import metadata_store_pb2 as mlmd_pb2

from pipeline.config import ConfigError


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


def last_run(metadata: Path) -> dict[str, NodeRecord]:
    """The nodes of the newest run, by name.

    Raises:
      LookupError: if there was none.
    """
    config = mlmd_pb2.ConnectionConfig()
    config.sqlite.filename_uri = str(metadata)
    config.sqlite.connection_mode = mlmd_pb2.SqliteMetadataSourceConfig.READONLY
    store = mlmd.MetadataStore(config)
    runs = store.get_contexts_by_type("pipeline_run")
    if not runs:
        raise LookupError(f"no run in {metadata}")
    newest = max(runs, key=lambda run: run.create_time_since_epoch)
    return {
        _node_name(store, execution): NodeRecord(
            cached=execution.last_known_state == mlmd_pb2.Execution.CACHED,
            outputs=_outputs(store, execution),
        )
        for execution in store.get_executions_by_context(newest.id)
    }


def require_run(experiment: str, metadata: Path, nodes: Collection[str]) -> dict[str, NodeRecord]:
    """The newest run of an experiment, for a command that goes on from it.

    Args:
      experiment: its name.
      metadata: ML Metadata of its runs.
      nodes: whose outputs are needed.

    Raises:
      ConfigError: if there was no run, or it did not get so far.
    """
    if not metadata.is_file():
        raise ConfigError(f"no run of {experiment} in {metadata.parent}: cxr run {experiment}")
    found = last_run(metadata)
    missing = [name for name in nodes if name not in found or not found[name].outputs]
    if missing:
        raise ConfigError(
            f"the last run of {experiment} in {metadata.parent} did not get as far as "
            f"{missing[0]}: cxr run {experiment}"
        )
    return found


def _node_name(store: mlmd.MetadataStore, execution: mlmd_pb2.Execution) -> str:
    contexts = store.get_contexts_by_execution(execution.id)
    return next(c.name.rsplit(".", 1)[1] for c in contexts if c.type == "node")


def _outputs(store: mlmd.MetadataStore, execution: mlmd_pb2.Execution) -> dict[str, Output]:
    keys = {
        event.artifact_id: event.path.steps[0].key
        for event in store.get_events_by_execution_ids([execution.id])
        if event.type == mlmd_pb2.Event.OUTPUT
    }
    outputs: dict[str, Output] = {}
    for artifact in store.get_artifacts_by_id(list(keys)):
        properties = {
            name: getattr(value, value.WhichOneof("value"))
            for name, value in artifact.custom_properties.items()
        }
        outputs.setdefault(keys[artifact.id], Output(artifact.id, artifact.uri, properties))
    return outputs
