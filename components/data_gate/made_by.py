"""The settings that data was made by: where they changed, a difference is no drift."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

FILE_NAME = "made_by.json"

_RATIO = "normals_per_pneumonia"


def made_by(ingest: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that decide which images there are, out of the account of an ingest."""
    sources = ingest.get("sources", {})
    return {
        "labels": ingest["labels"],
        "split": ingest["split"],
        "quality": ingest["quality"],
        "datasets": {name: {_RATIO: own.get(_RATIO)} for name, own in sources.items()},
    }


def changed(before: Mapping[str, Any], now: Mapping[str, Any], dataset: str) -> list[str]:
    """The settings that differ for a dataset, by their names in the configuration.

    What only one of them knows, because the other is of an earlier version, did not change.
    """
    own = [dict(_settings(one, dataset)) for one in (before, now)]
    return sorted(name for name in own[0].keys() & own[1].keys() if own[0][name] != own[1][name])


def _settings(made: Mapping[str, Any], dataset: str) -> Iterator[tuple[str, Any]]:
    for part in ("labels", "split", "quality"):
        yield from _flat(f"data.{part}", made.get(part, {}))
    yield from _flat(f"data.datasets.{dataset}", made.get("datasets", {}).get(dataset, {}))


def _flat(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(f"{name}.{key}", inner)
    else:
        yield name, value
