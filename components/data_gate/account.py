"""The account that an ingest gives of itself, as the gate reads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NEAR = "near_duplicates"
_AS_PUBLISHED = "as_published"


def is_published(ingest: Mapping[str, Any]) -> bool:
    """Whether the division is the one that the data came with."""
    return ingest["split"]["method"] == _AS_PUBLISHED


def only_reports_near(ingest: Mapping[str, Any]) -> bool:
    """Whether near-duplicates were meant to be counted, and nothing else."""
    return ingest["split"].get("near_duplicates") == "report"


def leaks(ingest: Mapping[str, Any], *kinds: str) -> list[str]:
    """What is in more than one split, such as `3 patients`; of nothing, none."""
    words = {"patients": "patient", "exact_duplicates": "exact duplicate", NEAR: "near duplicate"}
    return [
        counted(count, words[kind])
        for kind, count in ingest["leakage"].items()
        if count and kind in (kinds or words)
    ]


def counted(number: int, noun: str) -> str:
    """A number with its noun, such as `3 patients`."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def quarantined_share(dataset: Mapping[str, Any]) -> float:
    """The share of a dataset's images that is quarantined."""
    return fate(dataset, "quarantined") / max(1, images(dataset))


def bad_rows_share(dataset: Mapping[str, Any]) -> float:
    """The share of a dataset's rows and files that are rows not to be trusted."""
    return fate(dataset, "bad row") / max(1, on_disk(dataset))


def images(dataset: Mapping[str, Any]) -> int:
    """How many images of a dataset could be asked whether they are films."""
    return on_disk(dataset) - fate(dataset, "bad row") - fate(dataset, "out of scope")


def on_disk(dataset: Mapping[str, Any]) -> int:
    """What was read of a dataset, but for a table's rows without an image."""
    return dataset["read"] - fate(dataset, "not on disk")


def fate(dataset: Mapping[str, Any], name: str) -> int:
    """How many of a dataset's files and rows had this fate."""
    return dataset["fates"].get(name, 0)
