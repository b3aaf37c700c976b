"""Files that are whole, and on the disk, before anyone sees them."""

from __future__ import annotations

import contextlib
import filecmp
import os
import shutil
from pathlib import Path


def copy_folder(source: Path, target: Path) -> None:
    """Copies a folder onto the disk, not only into the disk's cache.

    Times are those of the copy.

    Raises:
      OSError: from the first file that cannot be copied; what was copied so far stays.
    """
    for folder, _, files in os.walk(source):
        into = target / Path(folder).relative_to(source)
        into.mkdir()
        for name in files:
            with (Path(folder) / name).open("rb") as read, (into / name).open("wb") as written:
                shutil.copyfileobj(read, written, 2**20)
                written.flush()
                os.fsync(written.fileno())
    for folder, _, _ in os.walk(target):
        flush_folder(Path(folder))


def same_files(one: Path, other: Path) -> bool:
    """Whether two folders hold the same files, byte for byte."""
    names = [
        {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
        for folder in (one, other)
    ]
    return names[0] == names[1] and all(
        filecmp.cmp(one / name, other / name, shallow=False) for name in names[0]
    )


def replace_file(file: Path, text: str) -> None:
    """Writes a file whole: a reader sees the old one or the new one.

    Raises:
      OSError: if it cannot be written; the old one stays.
    """
    aside = file.with_name(f".{file.name}.new")
    try:
        with aside.open("w", encoding="utf-8") as written:
            written.write(text)
            written.flush()
            os.fsync(written.fileno())
        aside.replace(file)
    except OSError:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)
        raise
    # It is written now: if this fails, only a power failure could bring the old one back.
    with contextlib.suppress(OSError):
        flush_folder(file.parent)


def flush_folder(folder: Path) -> None:
    """Brings the names in a folder onto the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
