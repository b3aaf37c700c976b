"""What the node writes."""

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
