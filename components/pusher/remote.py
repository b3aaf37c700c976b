"""Versions in an object store, such as gs:// or s3://.

There a folder cannot be renamed as a whole: what makes a version visible is `saved_model.pb`, and
it is written last. A server that polls the folder itself may still try the version too early, and
wait a minute; one that goes by `models.config` does not, since the labels are written after that.
Only one pipeline may push there at a time: an object store has no lock.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from tfx.dsl.io import fileio

from components import storage
from components.pusher.settings import PusherSettings
from serving import model_config
from serving.durable import same_files
from serving.labels import Labels, read_history, write_history
from serving.version_folders import MODEL_FILE, version_number
from serving.versions import iso_time


def publish(model: str, folder: str, settings: PusherSettings) -> tuple[int, str]:
    """As `executor.publish`, through TFX's fileio.

    A push that was killed leaves a version without `saved_model.pb`, which is removed here; or a
    whole one that ML Metadata does not know, which is not pushed again.
    """
    config_file, history_file = _beside(folder)
    name = folder.rstrip("/").rpartition("/")[2]
    config = model_config.parse(_read(config_file), config_file)
    history = _read(history_file)
    labels = Labels(
        model_config.labels_of(config, name), read_history(history, history_file) if history else ()
    )
    found = _versions(folder)
    for path in found.values():
        if not fileio.exists(f"{path}/{MODEL_FILE}"):
            fileio.rmtree(path)
    now = time.time()
    version = _newest_like(model, found)
    if version is None:
        version = max(int(now), *(number + 1 for number in found), 1)
        _copy(model, f"{folder}/{version}")
    elif not labels.wants(version, promote=settings.promote):
        return version, _label(labels, version)

    labels = labels.pushed(version, iso_time(now), promote=settings.promote)
    base = settings.served_from or model_config.base_path_of(config, name) or folder
    _write(history_file, write_history(labels.history))
    _write(config_file, model_config.with_labels(config, name, base, labels.current))

    # All of them are complete now.
    found = _versions(folder)
    kept = {*labels.current.values(), labels.previous(found)}
    for number in sorted(found, reverse=True)[settings.keep :]:
        if number not in kept:
            # Hidden before it is taken apart.
            fileio.remove(f"{found[number]}/{MODEL_FILE}")
            fileio.rmtree(found[number])
    return version, _label(labels, version)


def current_labels(folder: str) -> Mapping[str, int]:
    """Which version has which label now.

    Args:
      folder: URI of the folder of versions.
    """
    config_file, _ = _beside(folder)
    name = folder.rstrip("/").rpartition("/")[2]
    return model_config.labels_of(model_config.parse(_read(config_file), config_file), name)


def _beside(folder: str) -> tuple[str, str]:
    root, _, name = folder.rstrip("/").rpartition("/")
    return f"{root}/{model_config.FILE_NAME}", f"{root}/{name}.history.json"


def _versions(folder: str) -> dict[int, str]:
    """As `version_folders`."""
    if not fileio.isdir(folder):
        return {}
    listed: list[Any] = fileio.listdir(folder)
    found: dict[int, str] = {}
    # Object stores list folders with a slash.
    for name in sorted(name.rstrip("/") for name in listed):
        number = version_number(name)
        if number is not None and fileio.isdir(f"{folder}/{name}"):
            found.setdefault(number, f"{folder}/{name}")
    return found


def _newest_like(model: str, found: Mapping[int, str]) -> int | None:
    """The highest version, if it is complete and has the model's files."""
    newest = max(found, default=None)
    if newest is None or not fileio.exists(f"{found[newest]}/{MODEL_FILE}"):
        return None
    # Most models differ in it, and it is a small one.
    if _bytes(f"{model}/{MODEL_FILE}") != _bytes(f"{found[newest]}/{MODEL_FILE}"):
        return None
    with storage.local_copy(model) as one, storage.local_copy(found[newest]) as other:
        return newest if same_files(one, other) else None


def _label(labels: Labels, version: int) -> str:
    return next(label for label, number in labels.current.items() if number == version)


def _copy(source: str, target: str) -> None:
    walked: Iterable[Any] = fileio.walk(source)
    for folder, _, files in walked:
        into = target + folder[len(source) :]
        fileio.makedirs(into)
        for file in files:
            if (folder, file) != (source, MODEL_FILE):
                fileio.copy(f"{folder}/{file}", f"{into}/{file}", overwrite=True)
    fileio.copy(f"{source}/{MODEL_FILE}", f"{target}/{MODEL_FILE}", overwrite=True)


def _read(file: str) -> str:
    return _bytes(file).decode() if fileio.exists(file) else ""


def _bytes(file: str) -> bytes:
    with fileio.open(file, "rb") as opened:
        return bytes(opened.read())


def _write(file: str, text: str) -> None:
    with fileio.open(file, "wb") as opened:
        opened.write(text.encode())
