"""What lies in a model's folder: its versions, and which of them to serve."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from tensorflow_serving.config.file_system_storage_path_source_pb2 import (
    FileSystemStoragePathSourceConfig as _Config,
)

from serving.version_folders import version_number

_log = logging.getLogger(__name__)

# What changes when somebody repairs, or finishes to write, a version.
Fingerprint = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True)
class VersionPolicy:
    """Which of the versions that are there should be served.

    Attributes:
      latest: the so many with the highest numbers; None where the policy is another.
      specific: these and no others; empty where the policy is another. With neither, all.
    """

    latest: int | None = 1
    specific: frozenset[int] = frozenset()

    @classmethod
    def of(cls, proto: _Config.ServableVersionPolicy) -> VersionPolicy:
        """The policy of a ModelConfig; an absent one is the latest version."""
        match proto.WhichOneof("policy_choice"):
            case "all":
                return cls(latest=None)
            case "specific":
                return cls(latest=None, specific=frozenset(proto.specific.versions))
            case _:
                return cls(latest=proto.latest.num_versions or 1)

    def choose(self, versions: Collection[int]) -> frozenset[int]:
        """The versions to serve among those that can be."""
        if self.latest is not None:
            return frozenset(sorted(versions)[-self.latest :])
        if self.specific:
            return self.specific.intersection(versions)
        return frozenset(versions)


def list_versions(base_path: Path) -> Mapping[int, Path]:
    """The folders whose whole name is a number, by that number; others are no versions.

    Raises:
      OSError: the folder cannot be listed.
    """
    versions: dict[int, Path] = {}
    for path in sorted(base_path.iterdir()):
        number = version_number(path.name)
        if number is None or not path.is_dir():
            continue
        if number in versions:
            _log.warning("%s: version %d is already %s", path, number, versions[number].name)
            continue
        versions[number] = path
    return versions


def fingerprint(version: Path) -> Fingerprint:
    """Names, sizes in bytes and times of change, in nanoseconds, of a version's files."""
    found = []
    for path in version.rglob("*"):
        try:
            status = path.stat()
        except OSError:  # it went while we looked, which is a change as well
            continue
        found.append((str(path.relative_to(version)), status.st_size, status.st_mtime_ns))
    return tuple(sorted(found))
