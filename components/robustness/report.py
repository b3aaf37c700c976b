"""What the node writes, and how it is read again."""

from __future__ import annotations

import json

from tfx.dsl.io import fileio

from components.robustness.figures import Robustness

INDEX_FILE = "robustness.json"


def write(uri: str, found: Robustness) -> None:
    """Fill a `RobustnessReport` artifact."""
    text = json.dumps(found.model_dump(mode="json"), indent=2) + "\n"
    with fileio.open(f"{uri}/{INDEX_FILE}", "wb") as file:
        file.write(text.encode())


def read_robustness(uri: str) -> Robustness:
    """Read a `RobustnessReport` artifact."""
    with fileio.open(f"{uri}/{INDEX_FILE}", "rb") as file:
        return Robustness.model_validate_json(file.read())
