"""Which folders a server takes for versions of a model, and whether they are complete."""

from __future__ import annotations

from pathlib import Path

MODEL_FILE = "saved_model.pb"
# Beside the model, in a version's folder.
CONTRACT_FILE = Path("assets.extra") / "model_contract.json"
WARMUP_FILE = Path("assets.extra") / "tf_serving_warmup_requests"

_INT64_MAX = 2**63 - 1


def version_number(name: str) -> int | None:
    """The version that a server takes a folder of this name for; None for one that is none."""
    if not (name.isascii() and name.isdecimal()):
        return None
    number = int(name)
    return number if number <= _INT64_MAX else None


def version_folders(base: Path) -> dict[int, Path]:
    """The versions that a server finds in a folder, complete or not, by their numbers.

    Of two folders of one number, such as `1` and `0001`, it is the first by name.
    """
    found: dict[int, Path] = {}
    for child in sorted(base.iterdir()) if base.is_dir() else ():
        number = version_number(child.name)
        if number is not None and child.is_dir():
            found.setdefault(number, child)
    return found


def incomplete(folder: Path) -> str:
    """Why a folder is no complete SavedModel; empty for one that is."""
    try:
        size = (folder / MODEL_FILE).stat().st_size
    except OSError:
        size = 0
    if not size:
        return f"no {MODEL_FILE}, or an empty one"
    variables = folder / "variables"
    if not variables.is_dir():
        return ""
    if not (variables / "variables.index").is_file():
        return "variables/variables.index is missing"
    try:
        shards = sorted(variables.glob("variables.data-*-of-*"))
    except OSError as error:  # it may be pruned meanwhile
        return f"variables cannot be listed: {error.strerror}"
    expected = int(shards[0].name.rpartition("-")[2]) if shards else 1
    if len(shards) != expected:
        return f"{len(shards)} of {expected} files of variables are there"
    return ""
