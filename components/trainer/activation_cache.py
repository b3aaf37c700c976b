"""What the frozen part of a network gave for each image: on disk, by what it was made from."""

from __future__ import annotations

import json
import logging
import os
import stat
import tempfile
import uuid
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from components import progress
from components.trainer.activation_rows import DATA, FLOAT32, INDEX, RowFormat

FOLDER = "activations"

# A pass that is killed loses at most so many images; and a process may have only so many files
# open, of which every shard is one.
_SHARD = 1024


class ActivationCache:
    """Rows of one shape by a name, for one frozen part.

    A folder of shards, each an array that is memory-mapped and the list of its rows' names. Both
    are written aside, flushed and renamed, the names last, and never changed: a crash leaves no
    half shard, and two writers at worst compute the same rows twice.
    """

    def __init__(
        self,
        root: Path,
        part: str,
        shape: Sequence[int],
        dtype: str = FLOAT32,
        *,
        others: Iterable[Path] = (),
    ):
        """Open, and read what is there.

        Args:
          root: folder of all caches.
          part: what tells this frozen part (weights, preprocessing, precision) from others.
          shape: of a row.
          dtype: that rows are kept in: `float32`, `float16` or `bfloat16`.
          others: indices of shards of the same part that lie elsewhere, and are only read.
        """
        self._folder = root / FOLDER / part
        self._folder.mkdir(parents=True, exist_ok=True)
        self._format = RowFormat(shape, dtype)
        # For each name an array, and the row's place in it.
        self._rows: dict[str, tuple[np.ndarray, int]] = {}
        self._unsaved: dict[str, np.ndarray] = {}
        self.files: set[Path] = set()
        for index in [*sorted(self._folder.glob(f"*{INDEX}")), *others]:
            try:
                self._open(index)
            except (OSError, EOFError, ValueError) as error:
                logging.warning("activation cache: %s is not readable, ignored: %s", index, error)

    def __contains__(self, name: str) -> bool:
        """Whether a row is here."""
        return name in self._rows

    def rows(self, names: Sequence[str]) -> np.ndarray:
        """Rows in the order asked for: float32 [len(names), *shape].

        Raises:
          KeyError: if one is not here.
        """
        found = np.empty((len(names), *self._format.shape), np.float32)
        # Shard by shard, each from its beginning to its end: as fast as the disk reads.
        wanted: dict[int, tuple[np.ndarray, list[tuple[int, int]]]] = {}
        for place, name in enumerate(names):
            array, row = self._rows[name]
            wanted.setdefault(id(array), (array, []))[1].append((row, place))
        for array, pairs in wanted.values():
            rows, places = np.array(sorted(pairs)).T
            found[places] = self._format.unpack(array[rows])
        return found

    def add(self, names: Sequence[str], rows: np.ndarray) -> None:
        """Take rows in, float32 [len(names), *shape]; now and then, save them.

        Raises:
          InputError: if a row holds no numbers, or numbers too large for the dtype.
        """
        stored = self._format.pack(names, rows)
        for place, name in enumerate(names):
            self._rows[name] = (stored, place)
            self._unsaved[name] = stored[place]
        if len(self._unsaved) >= _SHARD:
            self.save()

    def save(self) -> None:
        """Write what is not yet on disk."""
        if not self._unsaved:
            return
        names, data = list(self._unsaved), np.stack(list(self._unsaved.values()))
        index = self._folder / f"{uuid.uuid4().hex}{INDEX}"
        _write_aside(index.with_suffix(DATA), lambda file: np.save(file, data))
        _write_aside(index, lambda file: file.write(json.dumps(names).encode()))
        # From here on they are read from disk, and need no memory.
        self._open(index)
        self._unsaved = {}

    def _open(self, index: Path) -> None:
        names, rows = self._format.load(index)
        self._rows |= {name: (rows, place) for place, name in enumerate(names)}
        if index.parent != self._folder:
            return
        # The index goes first when it is evicted: what has none is not read.
        for file in (index, index.with_suffix(DATA)):
            os.utime(file)
            self.files.add(file)


def evict(root: Path, max_bytes: float, in_use: Iterable[Path] = ()) -> None:
    """Delete what was not used for longest, until the rest is no more than asked for.

    Args:
      root: folder of all caches.
      max_bytes: that may stay.
      in_use: files that stay in any case; where they alone are more, a warning says so.
    """
    protected = set(in_use)
    files = [(path, facts) for path in root.rglob("*") if (facts := _facts(path))]
    total = sum(facts.st_size for _, facts in files)
    for path, facts in sorted(files, key=lambda one: (one[1].st_mtime_ns, one[0])):
        if total <= max_bytes:
            return
        if path not in protected:
            path.unlink(missing_ok=True)
            total -= facts.st_size
    if total > max_bytes:
        progress.warn(
            f"the cache in {root} holds {total / 2**30:.1f} GiB, all of it in use, where "
            f"trainer.cache.max_gib allows {max_bytes / 2**30:.1f}"
        )


def _facts(path: Path) -> os.stat_result | None:
    """Of a file; none of a folder, nor of what another process has deleted since it was listed."""
    try:
        facts = path.stat()
    except FileNotFoundError:
        return None
    return facts if stat.S_ISREG(facts.st_mode) else None


def _write_aside(path: Path, write: Callable[[IO[bytes]], Any]) -> None:
    handle, aside = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
    with os.fdopen(handle, "wb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())
    Path(aside).rename(path)
