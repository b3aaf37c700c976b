"""What the Trainer leaves for nodes that look into the network: the Keras classifier, its contract.

Whoever only asks the model for answers uses the exported SavedModel.
"""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from tfx.dsl.io import fileio
from tfx.utils import path_utils

from components.trainer.calibration import Calibration
from components.trainer.export import CONTRACT, KERAS_FOLDER


@dataclasses.dataclass(frozen=True)
class ContractOutput:
    """One output of the network.

    Attributes:
      number: which logit it is.
      name: of the finding.
      calibration: from logit to probability.
    """

    number: int
    name: str
    calibration: Calibration

    def probabilities(self, logits: NDArray[np.float32]) -> NDArray[np.float64]:
        """The calibrated probabilities of logits, float [N] both."""
        return self.calibration(logits).astype(np.float64)


@dataclasses.dataclass(frozen=True)
class ClassifierContract:
    """The part of the model's contract that explaining it needs.

    Attributes:
      outputs: in the network's order.
      image_size: side of the network's input, in pixels.
      backbone: its name in the registry.
      backbone: its name in the registry.
      precision: in which the exported model computes, `float32` or `bfloat16`.
      explanation: how the exported model explains itself; empty where it does not.
    """

    outputs: tuple[ContractOutput, ...]
    image_size: int
    backbone: str
    precision: str
    explanation: Mapping[str, Any]

    @classmethod
    def from_json(cls, text: str) -> ClassifierContract:
        """Read it from the model's `model_contract.json`.

        Raises:
          ValueError: if an entry is missing or wrong.
        """
        try:
            contract = json.loads(text)
            return cls(
                outputs=tuple(
                    ContractOutput(
                        number=number,
                        name=one["name"],
                        calibration=Calibration(**one["calibration"]),
                    )
                    for number, one in enumerate(contract["outputs"])
                ),
                image_size=int(contract["image_size"]),
                backbone=contract["backbone"],
                precision=contract["precision"],
                explanation=contract.get("explanation", {}),
            )
        except KeyError as error:
            raise ValueError(f"the model contract has no entry {error}") from error
        except TypeError as error:
            raise ValueError(f"the model contract cannot be read: {error}") from error

    def output(self, finding: str = "") -> ContractOutput:
        """The output of a finding; of a model of one finding it needs no name.

        Raises:
          ValueError: if there is none, or it is not said which of several.
        """
        names = [one.name for one in self.outputs]
        if not finding and len(names) > 1:
            raise ValueError(f"which output is to be explained? The model has {', '.join(names)}")
        if finding and finding not in names:
            raise ValueError(f"the model has no output {finding!r}; it has {', '.join(names)}")
        return self.outputs[names.index(finding) if finding else 0]


def read_contract(uri: str) -> ClassifierContract:
    """Read the contract of a Model artifact.

    Raises:
      FileNotFoundError: if the exported model has none.
      ValueError: if it cannot be read, see `ClassifierContract.from_json`.
    """
    path = f"{path_utils.serving_model_path(uri)}/{CONTRACT}"
    if not fileio.exists(path):
        raise FileNotFoundError(f"the exported model has no contract: {path}")
    with fileio.open(path, "r") as file:
        return ClassifierContract.from_json(file.read())


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
