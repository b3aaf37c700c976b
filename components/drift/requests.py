"""A server's request log, read: the scalars of what one version of a model was asked."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from components.errors import InputError
from serving.server.rotated_files import log_files


class RequestLogError(InputError):
    """A log that cannot be compared with the model."""


@dataclasses.dataclass(frozen=True)
class Requests:
    """What a version of a model was asked.

    Attributes:
      columns: scalars by name, float64 [N]; NaN where an image has no such value.
      count: N, the images.
      first: the minute of the first of them, UTC, ISO 8601.
      last: likewise.
      others: images that other models or versions answered, which are left out.
      dropped: lines that the server had to drop, of whatever version.
      unreadable: lines that are no such line, as a crash leaves them.
    """

    columns: dict[str, np.ndarray]
    count: int
    first: str
    last: str
    others: int
    dropped: int
    unreadable: int


def read_requests(log: Path, version: int, model: str) -> Requests:
    """Read a log.

    Args:
      log: its folder, or one of its files.
      version: of the model.
      model: its name, that of the folder of its versions; it counts where several models in the
        log have this version.

    Raises:
      RequestLogError: if it is no log, is empty, or holds nothing of this version.
    """
    lines: list[dict[str, Any]] = []
    dropped = unreadable = 0
    for line in _lines(log):
        if line is None:
            unreadable += 1
        elif "dropped" in line:
            dropped += line["dropped"]
        else:
            lines.append(line)
    own = _of_version(lines, version, model, log)
    names = sorted({name for line in own for name in line["values"]})
    times = sorted(line["time"] for line in own)
    return Requests(
        columns={
            name: np.array([line["values"].get(name, np.nan) for line in own], np.float64)
            for name in names
        },
        count=len(own),
        first=times[0],
        last=times[-1],
        others=len(lines) - len(own),
        dropped=dropped,
        unreadable=unreadable,
    )


def _of_version(
    lines: list[dict[str, Any]], version: int, model: str, log: Path
) -> list[dict[str, Any]]:
    if not lines:
        raise RequestLogError(
            f"{log}: no request was logged there yet; is the server's request log on?"
        )
    held = Counter((line["model"], line["version"]) for line in lines)
    names = [name for name, number in held if number == version]
    if not names:
        found = ", ".join(f"{name} version {number} ({n})" for (name, number), n in held.items())
        raise RequestLogError(
            f"{log}: this log is of another model: it holds {found} and nothing of version "
            f"{version}. Give --model the folder of a version that the log holds."
        )
    if len(names) > 1 and model not in names:
        raise RequestLogError(
            f"{log}: {', '.join(sorted(names))} all have a version {version}, and the model's "
            f"folder is called {model}: rename one, or give the log of one server"
        )
    name = names[0] if len(names) == 1 else model
    return [line for line in lines if (line["model"], line["version"]) == (name, version)]


def _lines(log: Path) -> Iterator[dict[str, Any] | None]:
    """Lines as they are, None for one that is none."""
    files = log_files(log) if log.is_dir() else [log] if log.is_file() else []
    if not files:
        raise RequestLogError(
            f"{log}: no request log; give the folder of requests-NNNNNNNN.jsonl files that the "
            "server writes"
        )
    for file in files:
        for text in file.read_text("utf-8", errors="replace").splitlines():
            try:
                line = json.loads(text)
            except ValueError:
                line = None
            yield line if _is_sound(line) else None


def _is_sound(line: Any) -> bool:
    if not isinstance(line, dict) or not isinstance(line.get("time"), str):
        return False
    if isinstance(line.get("dropped"), int):
        return True
    values = line.get("values")
    return (
        isinstance(line.get("model"), str)
        and isinstance(line.get("version"), int)
        and isinstance(values, dict)
        and all(isinstance(value, int | float) for value in values.values())
    )
