"""Where the exported model's contract lies, for all that read it."""

from __future__ import annotations

from collections.abc import Sequence

from components.errors import InputError

CONTRACT = "assets.extra/model_contract.json"
# Beside the SavedModel in the Model artifact: the same network for plain Keras.
KERAS_FOLDER = "saved_models"


def read_contract_text(folder: str) -> str:
    """The contract of a SavedModel, JSON.

    Args:
      folder: of the SavedModel, a path or a URI.

    Raises:
      InputError: if it has none.
    """
    # TFX takes seconds to import, and the names above are asked for without it, too.
    from tfx.dsl.io import fileio

    path = f"{folder}/{CONTRACT}"
    if not fileio.exists(path):
        raise InputError(f"the exported model has no contract: {path}: train the model again")
    with fileio.open(path, "r") as file:
        return file.read()


def find_output(names: Sequence[str], finding: str, setting: str) -> int:
    """The number of the output that is to be explained.

    Args:
      names: of the network's outputs.
      finding: of a multi-label model, the name of the output; empty for a binary one.
      setting: that names the finding, for the message.

    Raises:
      InputError: if there is none of that name, or it is not said which of several.
    """
    if not finding and len(names) != 1:
        raise InputError(
            f"which finding is to be explained? The model has {', '.join(names)}: choose one by "
            f"{setting}"
        )
    if finding and finding not in names:
        raise InputError(
            f"{setting}: the model has no output {finding!r}; it has {', '.join(names)}"
        )
    return names.index(finding) if finding else 0
