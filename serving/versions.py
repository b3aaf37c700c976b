"""The versions of a model in the folder that a server watches.

A version is complete before it is visible: it is written to a hidden sibling, flushed to the
disk, and renamed to its number, which is higher than all before. A process that is killed
half-way leaves a hidden folder, which the next push removes. Beside the folder lie `models.config`,
from which servers take the labels (see `serving.model_config`), and the history of `stable`.
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serving import model_config
from serving.durable import copy_folder, flush_folder, replace_file, same_files
from serving.labels import Labels, VersionError, read_history, write_history
from serving.model_config import CANARY, STABLE
from serving.version_folders import CONTRACT_FILE, MODEL_FILE, incomplete, version_folders

DEFAULT_KEEP = 5

_PUSHING, _REMOVING = ".pushing-", ".removing-"


@dataclass(frozen=True)
class Version:
    """One version of a model.

    Attributes:
      number: the name of its folder.
      path: its folder.
      problem: why it cannot be served; empty for a complete version.
      pushed: when, in ISO 8601 and UTC; empty for an incomplete version.
      labels: that stand for it.
      contract: what its contract file says; empty without one.
    """

    number: int
    path: Path
    problem: str
    pushed: str
    labels: tuple[str, ...]
    contract: Mapping[str, Any]


class ModelFolder:
    """The versions of one model, and the labels that stand for some of them.

    Attributes:
      path: the folder of versions; its name is the model's.
      config_file: the model config file of the servers.
    """

    def __init__(self, path: Path) -> None:
        """Takes the folder, which the first push makes."""
        self.path = path.absolute()
        self.config_file = self.path.parent / model_config.FILE_NAME
        self._history_file = self.path.parent / f"{self.path.name}.history.json"

    def versions(self) -> list[Version]:
        """All of them, the highest first, complete or not."""
        labels = self.labels().current
        folders = version_folders(self.path)
        return [_describe(folders[n], n, labels) for n in sorted(folders)[::-1]]

    def labels(self) -> Labels:
        """The labels and their history.

        Raises:
          ModelConfigError, VersionError: if their files cannot be read.
        """
        config = model_config.parse(_text(self.config_file), str(self.config_file))
        text = _text(self._history_file)
        history = read_history(text, str(self._history_file)) if text else ()
        return Labels(model_config.labels_of(config, self.path.name), history)

    def previous(self) -> int | None:
        """The version that a rollback would go to; None where none is left.

        Raises:
          ModelConfigError, VersionError: as of `labels`.
        """
        complete = {n for n, path in version_folders(self.path).items() if not incomplete(path)}
        return self.labels().previous(complete)

    def require(self, number: int) -> Version:
        """A complete version.

        Raises:
          VersionError: if there is no such version, or it is incomplete.
        """
        found = {version.number: version for version in self.versions()}
        if number not in found:
            there = ", ".join(map(str, found)) or "none"
            raise VersionError(f"{self.path}: no version {number}; there are {there}")
        if found[number].problem:
            raise VersionError(f"{found[number].path}: incomplete: {found[number].problem}")
        return found[number]

    def publish(
        self,
        source: Path,
        *,
        promote: bool = True,
        keep: int = DEFAULT_KEEP,
        served_from: str = "",
        again: bool = True,
    ) -> Version:
        """Copies a SavedModel in as the next version, labels it, and removes old ones.

        Args:
          source: its folder.
          promote: whether it becomes stable at once; if not, canary. The first is stable.
          keep: how many versions stay, see `prune`.
          served_from: this folder as the servers see it, where they see it elsewhere.
          again: whether it becomes a version even where the newest is the same, file by file; if
            not, that is labelled. So who was killed before he could note the version asks again.

        Raises:
          VersionError: if the SavedModel is incomplete, or it or its labels cannot be written,
            such as to a full disk. What is served is then as before.
        """
        if problem := incomplete(source):
            raise VersionError(f"{source}: not published: {problem}")
        with self._alone(f"{source} was not published"):
            # Before anything is visible: broken files are found now.
            labels = self.labels()
            if not again and (same := self._newest_like(source)) is not None:
                if labels.wants(same, promote=promote):
                    self._write(labels.pushed(same, _now(), promote=promote), served_from)
                return self.require(same)
            number = self._next()
            aside, published = self.path / f"{_PUSHING}{number}", self.path / str(number)
            try:
                copy_folder(source, aside)
                aside.rename(published)
                flush_folder(self.path)
                self._write(labels.pushed(number, _now(), promote=promote), served_from)
            except OSError:
                shutil.rmtree(aside, ignore_errors=True)
                if published.exists():
                    self._remove(published)
                raise
            # It is served: what cannot be removed now, the next push removes.
            with contextlib.suppress(OSError):
                self._prune(keep)
            return self.require(number)

    def promote(
        self, number: int, label: str = STABLE, *, check: Callable[[Path], object] | None = None
    ) -> Version:
        """Lets a label stand for a version.

        Args:
          number: of the version.
          label: `stable` or `canary`.
          check: is given the version's folder, and raises if it should not be served.

        Raises:
          VersionError: if the version is missing, incomplete, or cannot have the label, or the
            label cannot be written. What is served is then as before.
        """
        with self._alone(f"version {number} was not made {label}"):
            version = self.require(number)
            labels = self.labels().promoted(number, label, _now())
            if label == CANARY and STABLE not in labels.current:
                raise VersionError(f"{self.path}: no version is stable: promote one to it first")
            if check:
                check(version.path)
            self._write(labels)
            return self.require(number)

    def rollback(self, *, check: Callable[[Path], object] | None = None) -> Version:
        """Makes the version stable that was so before the present one.

        Args:
          check: as of `promote`.

        Raises:
          VersionError: if none is left, or the label cannot be written.
        """
        with self._alone("nothing was rolled back"):
            complete = {one.number: one for one in self.versions() if not one.problem}
            labels = self.labels().rolled_back(complete)
            number = labels.current[STABLE]
            if check:
                check(complete[number].path)
            self._write(labels)
            return self.require(number)

    def end_trial(self) -> None:
        """Takes the label `canary` off; servers unload the version.

        Raises:
          VersionError: if there is no canary, or the labels cannot be written.
        """
        with self._alone("the trial was not ended"):
            self._write(self.labels().without_canary())

    def prune(self, keep: int) -> list[int]:
        """Removes old versions.

        Args:
          keep: how many stay, the highest. What has a label stays in any case, and so does the
            version that a rollback would go to.

        Returns:
          The numbers of those that were removed, the highest first.

        Raises:
          VersionError: if one cannot be removed.
        """
        with self._alone("not all old versions were removed"):
            return self._prune(keep)

    def _prune(self, keep: int) -> list[int]:
        kept = {*self.labels().current.values(), self.previous()}
        folders = version_folders(self.path)
        removed = [n for n in sorted(folders)[::-1][keep:] if n not in kept]
        for number in removed:
            self._remove(folders[number])
        return removed

    def _remove(self, version: Path) -> None:
        # Gone at once, whatever becomes of the rest.
        aside = self.path / f"{_REMOVING}{version.name}"
        version.rename(aside)
        shutil.rmtree(aside, ignore_errors=True)

    def _newest_like(self, source: Path) -> int | None:
        """The highest version, if it is complete and has the same files."""
        folders = version_folders(self.path)
        newest = max(folders, default=None)
        if newest is None or incomplete(folders[newest]):
            return None
        return newest if same_files(source, folders[newest]) else None

    def _next(self) -> int:
        """Seconds since 1970, as TFX's, but rising even if the clock does not."""
        return max(int(time.time()), *(number + 1 for number in version_folders(self.path)), 1)

    def _write(self, labels: Labels, served_from: str = "") -> None:
        config = model_config.parse(_text(self.config_file), str(self.config_file))
        name = self.path.name
        base = served_from or model_config.base_path_of(config, name) or str(self.path)
        # The history first: `Labels` knows a history that is ahead.
        replace_file(self._history_file, write_history(labels.history))
        replace_file(self.config_file, model_config.with_labels(config, name, base, labels.current))

    @contextlib.contextmanager
    def _alone(self, otherwise: str) -> Iterator[None]:
        """One writer at a time. The lock goes with its process, and so what is left is removed.

        Args:
          otherwise: what did not happen, if the disk does not let it.

        Raises:
          VersionError: instead of an OSError; the labels are then as before.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with (self.path.parent / ".models.lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                for child in self.path.iterdir():
                    if child.name.startswith((_PUSHING, _REMOVING)):
                        shutil.rmtree(child, ignore_errors=True)
                yield
        except OSError as error:
            raise VersionError(
                f"{self.path}: {otherwise}: {error.strerror or error}. What is served is as "
                "before: make room or mend the folder, and try again"
            ) from error


def _describe(path: Path, number: int, labels: Mapping[str, int]) -> Version:
    problem, pushed, contract = incomplete(path), "", {}
    # It may be pruned meanwhile.
    with contextlib.suppress(OSError, ValueError):
        pushed = "" if problem else iso_time((path / MODEL_FILE).stat().st_mtime)
        contract = json.loads((path / CONTRACT_FILE).read_bytes())
    return Version(
        number=number,
        path=path,
        problem=problem,
        pushed=pushed,
        labels=tuple(sorted((k for k, v in labels.items() if v == number), reverse=True)),
        contract=contract if isinstance(contract, dict) else {},
    )


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8") if file.is_file() else ""


def _now() -> str:
    return iso_time(time.time())


def iso_time(seconds: float) -> str:
    """A time as versions and labels tell it: ISO 8601 in UTC."""
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return moment.isoformat(timespec="seconds")
