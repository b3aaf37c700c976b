"""What the Trainer leaves for the nodes after it: the Keras classifier and its contract."""

from __future__ import annotations

import dataclasses
import json
import math
import tempfile
from pathlib import Path

import keras
from tfx.dsl.io import fileio
from tfx.utils import path_utils

from components.trainer.export import CONTRACT, KERAS_FOLDER


@dataclasses.dataclass(frozen=True)
class ModelContract:
    """The part of the model's contract that explaining it needs.

    Attributes:
      class_names: of the negative and the positive class.
      image_size: side of the network's input, in pixels.
      threshold: the operating point, a calibrated probability.
      slope: of the calibration.
      intercept: of the calibration.
    """

    class_names: tuple[str, str]
    image_size: int
    threshold: float
    slope: float
    intercept: float

    @classmethod
    def from_json(cls, text: str) -> ModelContract:
        """Read it from the model's `model_contract.json`.

        Raises:
          ValueError: if an entry is missing or not for two classes.
        """
        try:
            contract = json.loads(text)
            negative, positive = contract["class_names"]
            return cls(
                class_names=(str(negative), str(positive)),
                image_size=int(contract["image_size"]),
                threshold=float(contract["operating_point"]["threshold"]),
                slope=float(contract["calibration"]["slope"]),
                intercept=float(contract["calibration"]["intercept"]),
            )
        except KeyError as error:
            raise ValueError(f"the model contract has no entry {error}") from error

    def probability(self, logit: float) -> float:
        """The calibrated probability of a logit: sigmoid(slope * logit + intercept)."""
        x = self.slope * logit + self.intercept
        # Either form is exact where the other overflows.
        return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))

    def decision(self, probability: float) -> int:
        """1 at or above the operating point, else 0."""
        return int(probability >= self.threshold)


def read_contract(uri: str) -> ModelContract:
    """Read the contract of a Model artifact.

    Raises:
      FileNotFoundError: if the exported model has none.
      ValueError: if it cannot be read, see `ModelContract.from_json`.
    """
    path = f"{path_utils.serving_model_path(uri)}/{CONTRACT}"
    if not fileio.exists(path):
        raise FileNotFoundError(f"the exported model has no contract: {path}")
    with fileio.open(path, "r") as file:
        return ModelContract.from_json(file.read())


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
