"""What the node writes, and how it is read again."""

from __future__ import annotations

import json
from collections.abc import Sequence

from components.explanation_probe.measures import FilmRow, Measures

INDEX_FILE = "explanation.json"
FILMS_FILE = "films.json"


def write(uri: str, found: Measures, films: Sequence[FilmRow]) -> None:
    """Fill an `ExplanationMeasures` artifact."""
    _write(f"{uri}/{INDEX_FILE}", found.model_dump_json(indent=2))
    _write(f"{uri}/{FILMS_FILE}", json.dumps([one.model_dump() for one in films], indent=1))


def read_measures(uri: str) -> Measures:
    """Read the figures of an `ExplanationMeasures` artifact."""
    # Here, since it imports TFX.
    from tfx.dsl.io import fileio

    with fileio.open(f"{uri}/{INDEX_FILE}", "rb") as file:
        return Measures.model_validate_json(file.read())


def _write(path: str, text: str) -> None:
    from tfx.dsl.io import fileio

    with fileio.open(path, "wb") as file:
        file.write(f"{text}\n".encode())
