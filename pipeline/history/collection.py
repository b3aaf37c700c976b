"""Which artifacts no kept run and no pushed model needs, and how they are deleted.

First ML Metadata is told, so that the cache trusts them no more; then a folder goes aside, and is
deleted there. Killed at any moment, the next collection finishes it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import tempfile
import time
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from components.storage import local_path
from pipeline.history.graph import DELETED, LIVE, Execution, History, Run

if TYPE_CHECKING:
    import ml_metadata as mlmd

# Read by a node to compare with: kept with it, but not what they themselves came from.
_COMPARED_WITH = {"baseline", "last_model"}
_REMOVING = ".removing-"
_DAY_SECONDS = 24 * 3600


@dataclasses.dataclass(frozen=True)
class Item:
    """A folder that can go.

    Attributes:
      path: the folder.
      why: `unused` by any kept run, left by a `killed` execution, an `abandoned` training, or the
        rest of an `interrupted` collection.
      size: of its files, in bytes.
      artifact: id of the artifact that it is; None of one that ML Metadata does not know.
    """

    path: Path
    why: str
    size: int
    artifact: int | None = None


def kept_runs(history: History, keep: int, versions: Collection[str]) -> list[Run]:
    """The runs that stay whole.

    Args:
      history: of a pipeline.
      keep: so many complete runs, the newest, and what was started since: a killed or failed run
        will be taken up from what it completed.
      versions: that are in the serving folder; the newest run with each of them stays, too, and so
        does that of the model which was blessed last.
    """
    complete = [run for run in history.runs if run.state(None) == "complete"]
    since = complete[-keep].number if len(complete) >= keep else 1
    kept = {run.number for run in history.runs if run.number >= since}
    by_version: dict[str, int] = {}
    blessed: set[int] = set()
    for run in complete:
        pushed = history.output(run, "Pusher", "pushed_model")
        if pushed is not None and pushed.properties.get("pushed"):
            by_version[str(pushed.properties["pushed_version"])] = run.number
        blessing = history.output(run, "ModelGate", "blessing")
        if blessing is not None and blessing.properties.get("blessed"):
            blessed = {run.number}
    kept |= {number for version, number in by_version.items() if version in versions}
    return [run for run in history.runs if run.number in kept | blessed]


def needed(history: History, runs: Sequence[Run]) -> set[int]:
    """The artifacts that some runs read and wrote, and all that these were made from."""
    found: set[int] = set()
    waiting: list[Execution] = [execution for run in runs for execution in run.executions]
    seen: set[int] = set()
    while waiting:
        execution = waiting.pop()
        if execution.id in seen:
            continue
        seen.add(execution.id)
        made = [one for ids in execution.outputs.values() for one in ids]
        read = {
            key: [one for one in ids if one in history.artifacts]
            for key, ids in execution.inputs.items()
        }
        found.update(made, *read.values())
        followed = [one for key, ids in read.items() if key not in _COMPARED_WITH for one in ids]
        # A cached one's outputs are an earlier one's; the cache wants all outputs of that.
        waiting += [history.makers[one] for one in [*made, *followed] if one in history.makers]
    return found


def collectable(histories: Sequence[History], artifacts: Path, kept: Collection[int]) -> list[Item]:
    """What lies below the folder of artifacts, and is not needed.

    Args:
      histories: of all pipelines that write there.
      artifacts: the folder.
      kept: ids of artifacts that stay.

    Raises:
      InputError: if an artifact is in a store.
    """
    items = []
    for history in histories:
        for one in history.artifacts.values():
            path = local_path(one.uri)
            if one.state == LIVE and one.id not in kept and path.is_relative_to(artifacts):
                items.append(Item(path, "unused", size_of(path), one.id))
            elif one.state == DELETED and path.is_relative_to(artifacts) and path.exists():
                items.append(Item(path, "interrupted", size_of(path)))
        known = {one.uri for one in history.artifacts.values()}
        for execution in history.executions():
            items += [
                Item(path, "killed", size_of(path))
                for path in _left_by(execution, artifacts)
                if str(path) not in known
            ]
    items += [
        Item(path, "interrupted", size_of(path)) for path in sorted(artifacts.glob(f"{_REMOVING}*"))
    ]
    return items


def abandoned_trainings(cache: Path, days: float) -> list[Item]:
    """States of killed trainings that were not taken up again.

    Args:
      cache: the Trainer's.
      days: since one was written last.
    """
    before = time.time() - days * _DAY_SECONDS
    return [
        Item(path, "abandoned", size_of(path))
        for path in sorted(cache.glob("unfinished/*"))
        if max(map(_modified, (path, *_files(path)))) < before
    ]


def delete(store: mlmd.MetadataStore, items: Sequence[Item], artifacts: Path) -> None:
    """Delete folders for good.

    Args:
      store: ML Metadata.
      items: the folders.
      artifacts: the folder of artifacts, where the next collection looks for what is left of them.

    Raises:
      OSError: if one cannot be moved.
    """
    _mark_deleted(store, [item.artifact for item in items if item.artifact is not None])
    for item in items:
        if not item.path.exists():
            continue
        aside = item.path
        if item.artifact is not None or item.why == "killed":
            # Gone at once, whatever becomes of the rest.
            aside = Path(tempfile.mkdtemp(prefix=_REMOVING, dir=artifacts))
            item.path.rename(aside / item.path.name)
        shutil.rmtree(aside, ignore_errors=True)


def _mark_deleted(store: mlmd.MetadataStore, ids: Sequence[int]) -> None:
    from ml_metadata.proto import metadata_store_pb2 as mlmd_pb2

    artifacts = store.get_artifacts_by_id(ids)
    for artifact in artifacts:
        artifact.state = mlmd_pb2.Artifact.DELETED
    if artifacts:
        store.put_artifacts(artifacts)


def _left_by(execution: Execution, artifacts: Path) -> Iterator[Path]:
    """What an execution that was killed, or failed, wrote and did not publish."""
    if execution.succeeded or execution.is_resolver:
        return
    for path in sorted((artifacts / execution.node).glob(f"*/{execution.id}")):
        if path.is_dir():
            yield path
    for path in sorted((artifacts / execution.node / ".system").glob(f"*/{execution.id}")):
        yield path


def size_of(path: Path) -> int:
    """Of the files in a folder, in bytes; 0 if it is gone."""
    size = 0
    for file in _files(path):
        with contextlib.suppress(FileNotFoundError):  # deleted meanwhile
            size += file.lstat().st_size
    return size


def _files(folder: Path) -> Iterator[Path]:
    """The files in a folder, at any depth; folders may go meanwhile."""
    for where, _, names in os.walk(folder):
        yield from (Path(where, name) for name in names)


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # evicted meanwhile
        return 0.0
