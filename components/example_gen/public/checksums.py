"""`SHA256SUMS`: what every file of a dataset held when it was fetched.

The format is that of coreutils, so `sha256sum -c SHA256SUMS` checks a dataset without this
project.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from components.example_gen.datasets.listing import DatasetError

FILE = "SHA256SUMS"

# More threads than this only make a disk seek.
_THREADS = min(4, os.cpu_count() or 1)
_LINE = re.compile(r"(?P<digest>[0-9a-f]{64}) [ *](?P<name>.+)")
# A file name need not be UTF-8, and has to come back as it was.
_TEXT = {"encoding": "utf-8", "errors": "surrogateescape"}


def digest_files(
    root: Path, names: Iterable[str], progress: Callable[[int, int], None]
) -> dict[str, str]:
    """The hexadecimal SHA-256 of each file, by its name relative to `root`.

    Args:
      root: the dataset's folder.
      names: of files in it, with `/` between folders.
      progress: called with (files done, files in all) after each file.
    """
    ordered = sorted(names)
    digests: dict[str, str] = {}
    # Threads suffice: hashlib lets go of the interpreter while it works.
    with ThreadPoolExecutor(_THREADS) as pool:
        found = pool.map(_digest, (root / name for name in ordered))
        for name, digest in zip(ordered, found, strict=True):
            digests[name] = digest
            progress(len(digests), len(ordered))
    return digests


def write(root: Path, digests: Mapping[str, str]) -> None:
    """Write `root/SHA256SUMS` in one step."""
    unfinished = root / f".{FILE}.unfinished"
    lines = [f"{digest}  {name}\n" for name, digest in sorted(digests.items())]
    unfinished.write_text("".join(lines), **_TEXT)
    unfinished.replace(root / FILE)


def read(root: Path) -> dict[str, str]:
    """The recorded digests by file name.

    Raises:
      DatasetError: if a line is not one of coreutils' format.
    """
    path = root / FILE
    digests: dict[str, str] = {}
    # Not splitlines(), which also splits at characters that a file name may hold.
    for number, line in enumerate(path.read_text(**_TEXT).rstrip("\n").split("\n"), start=1):
        match = _LINE.fullmatch(line)
        if match is None:
            raise DatasetError(
                f"{path}, line {number}, is not `CHECKSUM  FILE`. If the file was damaged, delete "
                "it: the next `cxr data fetch` writes it anew from what is on disk."
            )
        digests[match["name"]] = match["digest"]
    return digests


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
