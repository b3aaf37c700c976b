"""The folder of an experiment: what lies where in it, and who is at work in it."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import fcntl
import json
import os
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

import pydantic

from components.errors import InputError
from pipeline.metadata import MetadataSettings
from serving.durable import replace_file

# The name of the servable, whatever the experiment.
MODEL_NAME = "cxr"

# A look by `running` takes the lock for an instant.
_TRIES, _WAIT_SECONDS = 10, 0.05


class RunInProgressError(InputError):
    """A folder in which a run is at work; names its process."""


class Known(pydantic.BaseModel):
    """Where a folder's runs are recorded.

    Attributes:
      metadata: where ML Metadata is.
      pipelines: the names that the runs have there; empty for all that there are.
      store: URI of the folder that has their artifacts and the served versions; empty where that is
        the run's own.
      owner: what the store calls this folder, so that no other folder's runs go there.
    """

    metadata: MetadataSettings = MetadataSettings()
    pipelines: list[str] = []
    store: str = ""
    owner: str = ""


@dataclasses.dataclass(frozen=True)
class RunFolder:
    """What lies where in the folder of an experiment.

    Attributes:
      root: the folder.
    """

    root: Path

    @property
    def artifacts(self) -> Path:
        """What the nodes write."""
        return self.root / "artifacts"

    @property
    def metadata(self) -> Path:
        """ML Metadata: which node made what, from what. Not where it is on a server."""
        return self.root / "metadata.sqlite"

    @property
    def serving(self) -> Path:
        """The folder that TF Serving watches."""
        return self.root / "serving" / MODEL_NAME

    @property
    def store(self) -> str:
        """URI of the folder that has the artifacts and the served versions; empty: this one."""
        return self.known().store

    @property
    def summary(self) -> Path:
        """The summary of the last run."""
        return self.root / "summary.json"

    @property
    def logs(self) -> Path:
        """A file for each run, named by its start."""
        return self.root / "logs"

    @property
    def _known(self) -> Path:
        return self.root / "metadata.json"

    @property
    def _lock(self) -> Path:
        return self.root / "run.lock"

    def known(self) -> Known:
        """Where its runs are recorded: in SQLite, where nothing else was noted.

        Raises:
          InputError: if the note cannot be read.
        """
        try:
            return Known.model_validate_json(self._known.read_bytes())
        except FileNotFoundError:
            return Known()
        except pydantic.ValidationError as error:
            raise InputError(
                f"{self._known}: does not say where ML Metadata is: run the experiment again"
            ) from error

    def note(
        self,
        settings: MetadataSettings,
        pipeline: str,
        store: str = "",
        claim: Callable[[str, str], None] | None = None,
    ) -> None:
        """Note where a run is recorded, for commands that look at it later.

        Args:
          settings: where ML Metadata is.
          pipeline: the name of the run's pipeline.
          store: URI of the folder of its artifacts, where that is elsewhere.
          claim: takes the store for this folder's runs alone, given its URI and the folder's
            owner; where it raises, no run is noted.

        Raises:
          InputError: if there are runs whose artifacts are elsewhere: what one of them left in the
            cache would be taken for the other's; or which are recorded elsewhere.
        """
        before = self.known()
        if (before.pipelines or self.metadata.is_file()) and before.store != store:
            raise InputError(
                f"{self.root} records runs whose artifacts are in "
                f"{before.store or self.artifacts}, not in {store or self.artifacts}: move it "
                "away, or run in another folder"
            )
        if before.pipelines and before.metadata.place != settings.place:
            raise InputError(
                f"{self.root}: its runs are recorded in {before.metadata.place}, not in "
                f"{settings.place}, where artifacts would be counted from 1 again, over those "
                "that are there: move it away, or run in another folder"
            )
        owner = before.owner or uuid.uuid4().hex
        if store and claim is not None:
            # First its name: a run that is killed here has to know what it claimed.
            self._write(before.model_copy(update={"owner": owner}))
            claim(store, owner)
        pipelines = sorted({*before.pipelines, pipeline})
        self._write(Known(metadata=settings, pipelines=pipelines, store=store, owner=owner))

    def _write(self, known: Known) -> None:
        replace_file(self._known, known.model_dump_json(indent=2) + "\n")

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Work in the folder, and let nobody else.

        The lock goes with its process, however that ends.

        Raises:
          RunInProgressError: if somebody else does.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        with self._lock.open("a+", encoding="utf-8") as lock:
            for attempt in range(_TRIES):
                try:
                    # Not `flock`: children that outlive a killed run would hold that.
                    fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except OSError as error:
                    if attempt == _TRIES - 1:
                        raise RunInProgressError(_in_progress(self.root, _owner(lock))) from error
                    time.sleep(_WAIT_SECONDS)
            lock.truncate(0)
            owner = {"pid": os.getpid(), "host": socket.gethostname(), "started": time.time()}
            lock.write(json.dumps(owner))
            lock.flush()
            yield

    def running_since(self) -> float | None:
        """When the run that is at work now was started, in seconds since 1970; None without one.

        Not for the process that works in the folder itself: looking would give up its lock.
        """
        try:
            lock = self._lock.open(encoding="utf-8")
        except FileNotFoundError:
            return None
        with lock:
            try:
                fcntl.lockf(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                return float(_owner(lock).get("started", 0.0))
        return None


def _owner(lock: TextIO) -> dict[str, float | str]:
    """Who wrote the lock; nothing of one who has not come to it yet."""
    lock.seek(0)
    try:
        owner = json.loads(lock.read())
    except ValueError:
        return {}
    return owner if isinstance(owner, dict) else {}


def _in_progress(root: Path, owner: dict[str, float | str]) -> str:
    who = ""
    if owner:
        since = datetime.datetime.fromtimestamp(float(owner["started"]))
        who = f": process {owner['pid']} on {owner['host']}, since {since:%Y-%m-%d %H:%M:%S}"
    return (
        f"{root}: another cxr is at work there{who}. Wait until it has ended, or give this run a "
        "folder of its own with --pipeline-root DIR"
    )
