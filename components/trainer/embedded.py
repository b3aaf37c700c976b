"""What the Embedder left: rows of the frozen part, and what is known of their images.

An artifact is a folder:
  activations.json: its `Manifest`, written last.
  activations/PART/NAME.npy and NAME.json: shards, as the Trainer's own cache has them.
  Split-NAME/*.gz: TFRecords of the split's Examples without their images.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from tfx.dsl.io import fileio

from components import progress
from components.plain import Plain
from components.trainer.activation_cache import FOLDER
from components.trainer.activation_rows import INDEX
from components.trainer.index import Index, read_index

MANIFEST = "activations.json"

# In bytes.
_GZIP_TRAILER = 8


class Shard(Plain):
    """A shard, as the worker that wrote it knows it.

    Attributes:
      part: of which frozen part and dtype its rows are, see `Preparation`.
      name: of its files, without their suffixes.
      rows: how many.
      sizes: of its files in bytes, by suffix.
    """

    part: str
    name: str
    rows: int
    sizes: dict[str, int]


class Known(Plain):
    """A split whose Examples were stripped of their images.

    Attributes:
      files: `files_digest` of the Examples.
      images: how many there are.
    """

    files: str
    images: int


class Manifest(Plain):
    """What an artifact holds. Nothing else in its folder is read.

    Attributes:
      shards: that were written to their end.
      splits: by name.
    """

    shards: tuple[Shard, ...]
    splits: dict[str, Known]


class Embedded:
    """An artifact of the Embedder in a local folder."""

    def __init__(self, folder: Path):
        """Read what it holds.

        Args:
          folder: of the artifact. One without a manifest was not finished, and holds nothing.
        """
        self._folder = folder
        try:
            self._manifest = Manifest.model_validate_json((folder / MANIFEST).read_bytes())
        except (OSError, ValueError) as error:
            progress.warn(f"{folder} holds no finished activations, and is not used: {error}")
            self._manifest = Manifest(shards=(), splits={})

    def shards(self, part: str) -> list[Path]:
        """The indices of the whole shards of a frozen part; a warning where there are none."""
        files = []
        for shard in self._manifest.shards:
            path = self._folder / FOLDER / shard.part / shard.name
            sizes = {suffix: _size(path.with_suffix(suffix)) for suffix in shard.sizes}
            if shard.part == part and sizes == shard.sizes:
                files.append(path.with_suffix(INDEX))
        left_out = len(self._manifest.shards) - len(files)
        if left_out:
            progress.warn(
                f"{left_out} of the Embedder's {len(self._manifest.shards)} shards are damaged, or "
                "of another network, preprocessing or version of TensorFlow: their images are run "
                "through the network here"
            )
        return files

    def read_index(self, name: str, files: Sequence[str], label: str, outputs: int) -> Index | None:
        """What a split holds, without a look at its images.

        Args:
          name: of the split.
          files: gzipped TFRecords of its Examples.
          label: the feature to learn.
          outputs: how many values it has.

        Returns:
          None where the artifact was not made of these files, or lacks some of what it had.
        """
        known = self._manifest.splits.get(name)
        if known is None or known.files != files_digest(files):
            return None
        stripped = sorted(str(file) for file in (self._folder / f"Split-{name}").glob("*.gz"))
        found = read_index(stripped, label, outputs)
        if len(found.sha256) != known.images:
            return None
        return Index(files, found.sha256, found.labels, found.patients, found.datasets)


def files_digest(files: Sequence[str]) -> str:
    """What tells gzipped files from others with other contents, wherever the same ones lie.

    A gzip file ends with a checksum and the length of what is in it (RFC 1952), so that nothing
    else of it need be read.
    """
    ends = []
    for path in files:
        with fileio.open(path, "rb") as file:
            file.seek(-_GZIP_TRAILER, os.SEEK_END)
            ends.append((PurePosixPath(path).name, file.tell(), bytes(file.read())))
    return hashlib.sha256(repr(sorted(ends)).encode()).hexdigest()


def _size(file: Path) -> int:
    return file.stat().st_size if file.is_file() else -1
