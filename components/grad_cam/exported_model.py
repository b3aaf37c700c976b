"""What the Trainer leaves for the nodes after it: the Keras classifier and its contract."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from tfx.dsl.io import fileio
from tfx.utils import path_utils

from components.trainer.calibration import Calibration
from components.trainer.export import CONTRACT, KERAS_FOLDER


@dataclasses.dataclass(frozen=True)
class ModelContract:
    """The part of the model's contract that explaining one of its outputs needs.

    Attributes:
      output: which logit it is.
      class_names: of the negative and the positive class.
      image_size: side of the network's input, in pixels.
      threshold: the operating point, a calibrated probability.
      calibration: from logit to probability.
    """

    output: int
    class_names: tuple[str, str]
    image_size: int
    threshold: float
    calibration: Calibration

    @classmethod
    def from_json(cls, text: str, finding: str = "") -> ModelContract:
        """Read it from the model's `model_contract.json`.

        Args:
          text: the JSON.
          finding: of a multi-label model, the name of the output; empty for a binary one.

        Raises:
          ValueError: if an entry is missing or wrong, or there is no such output.
        """
        try:
            contract = json.loads(text)
            number, output = _find(contract["outputs"], finding)
            return cls(
                output=number,
                class_names=_words(finding) if finding else tuple(contract["class_names"]),
                image_size=int(contract["image_size"]),
                threshold=float(output["operating_point"]["threshold"]),
                calibration=Calibration(**output["calibration"]),
            )
        except KeyError as error:
            raise ValueError(f"the model contract has no entry {error}") from error
        except TypeError as error:
            raise ValueError(f"the model contract cannot be read: {error}") from error

    def probability(self, logit: float) -> float:
        """The calibrated probability of a logit."""
        return float(self.calibration(np.array([logit]))[0])

    def decision(self, probability: float) -> int:
        """1 at or above the operating point, else 0."""
        return int(probability >= self.threshold)


def _find(outputs: Sequence[dict[str, Any]], finding: str) -> tuple[int, dict[str, Any]]:
    names = [output["name"] for output in outputs]
    if not finding and len(names) != 1:
        raise ValueError(f"which output is to be explained? The model has {', '.join(names)}")
    if finding and finding not in names:
        raise ValueError(f"the model has no output {finding!r}; it has {', '.join(names)}")
    number = names.index(finding) if finding else 0
    return number, outputs[number]


def _words(finding: str) -> tuple[str, str]:
    words = finding.replace("_", " ").lower()
    return f"no {words}", words


def read_contract(uri: str, finding: str = "") -> ModelContract:
    """Read the contract of a Model artifact.

    Args:
      uri: of the artifact.
      finding: of a multi-label model, the name of the output; empty for a binary one.

    Raises:
      FileNotFoundError: if the exported model has none.
      ValueError: if it cannot be read, see `ModelContract.from_json`.
    """
    path = f"{path_utils.serving_model_path(uri)}/{CONTRACT}"
    if not fileio.exists(path):
        raise FileNotFoundError(f"the exported model has no contract: {path}")
    with fileio.open(path, "r") as file:
        return ModelContract.from_json(file.read(), finding)


def load_classifier(uri: str) -> keras.Model:
    """Load the Keras classifier of a Model artifact, local or remote.

    Raises:
      FileNotFoundError: if there is no `.keras` file beside the exported model.
      ValueError: if there are several.
    """
    folder = f"{uri}/{KERAS_FOLDER}"
    found = sorted(str(path) for path in fileio.glob(f"{folder}/*.keras"))
    if not found:
        raise FileNotFoundError(f"no .keras file in {folder}")
    if len(found) > 1:
        raise ValueError(f"expected one .keras file, found {', '.join(found)}")
    # Keras reads local files only.
    with tempfile.TemporaryDirectory() as local:
        copy = str(Path(local, "classifier.keras"))
        fileio.copy(found[0], copy)
        return keras.saving.load_model(copy, compile=False)
