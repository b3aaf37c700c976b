"""Files that lines are appended to, bounded in size and number.

They are named `requests-00000001.jsonl` and counted up.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

_NAME = "requests-{:08d}.jsonl"
_PATTERN = "requests-" + "[0-9]" * 8 + ".jsonl"


class RotatedFiles:
    """The files of a log, for its owner alone; used by one thread at a time."""

    def __init__(self, folder: Path, max_bytes: int, max_files: int):
        """Nothing is opened yet.

        Args:
          folder: is made where there is none.
          max_bytes: of a file; then the next one is begun.
          max_files: then the oldest is deleted.
        """
        self._folder = folder
        self._max_bytes = max_bytes
        self._max_files = max_files
        self._file: int | None = None

    def open(self) -> None:
        """Open the newest file to append to it, or the first one."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        existing = log_files(self._folder)
        self._open(existing[-1] if existing else self._folder / _NAME.format(1))

    def write(self, lines: Iterable[str]) -> None:
        """Append lines, each wholly or not at all.

        Raises:
          OSError: if there is no room; then none of them counts as written, though some may be.
        """
        if self._file is None:
            self.open()
        text, size = b"", self._size()
        for line in lines:
            encoded = line.encode()
            if size + len(text) + len(encoded) > self._max_bytes:
                self._append(text)
                self._rotate()
                text, size = b"", 0
            text += encoded
        self._append(text)

    def close(self) -> None:
        """Close the file that is open."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _append(self, text: bytes) -> None:
        if not text:
            return
        assert self._file is not None
        before = self._size()
        try:
            if os.write(self._file, text) < len(text):
                raise OSError("only a part of it could be written")
        except OSError:
            # A torn line must not run into the next one.
            os.ftruncate(self._file, before)
            raise

    def _rotate(self) -> None:
        existing = log_files(self._folder)
        number = _number(existing[-1]) + 1 if existing else 1
        for oldest in existing[: max(0, len(existing) - self._max_files + 1)]:
            oldest.unlink(missing_ok=True)
        self.close()
        self._open(self._folder / _NAME.format(number))

    def _open(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        size = self._size()
        # A process that was killed may have left half a line.
        if size and os.pread(self._file, 1, size - 1) != b"\n":
            os.write(self._file, b"\n")

    def _size(self) -> int:
        return 0 if self._file is None else os.fstat(self._file).st_size


def log_files(folder: Path) -> list[Path]:
    """A log's files, the oldest first."""
    return sorted(folder.glob(_PATTERN), key=_number)


def _number(path: Path) -> int:
    return int(path.stem.removeprefix("requests-"))
