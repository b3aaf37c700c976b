"""What the Trainer leaves for nodes that look into the network: the Keras classifier, its contract.

Whoever only asks the model for answers uses the exported SavedModel.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from tfx.dsl.io import fileio
from tfx.utils import path_utils

from components import storage
from components.errors import InputError
from components.trainer.calibration import Calibration
from components.trainer.contract_file import KERAS_FOLDER, find_output, read_contract_text


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
          InputError: if an entry is missing or wrong.
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
            raise InputError(
                f"the model contract has no entry {error}: train the model again"
            ) from error
        except (TypeError, ValueError) as error:
            raise InputError(
                f"the model contract cannot be read: {error}: train the model again"
            ) from error

    def output(self, finding: str, setting: str) -> ContractOutput:
        """The output of a finding, see `find_output`."""
        return self.outputs[find_output([one.name for one in self.outputs], finding, setting)]


def read_contract(uri: str) -> ClassifierContract:
    """Read the contract of a Model artifact.

    Raises:
      InputError: if there is none, or it cannot be read, see `ClassifierContract.from_json`.
    """
    return ClassifierContract.from_json(read_contract_text(path_utils.serving_model_path(uri)))


def load_classifier(uri: str) -> keras.Model:
    """Load the Keras classifier of a Model artifact, local or remote.

    Raises:
      InputError: if there is not one `.keras` file beside the exported model.
    """
    folder = f"{uri}/{KERAS_FOLDER}"
    found = sorted(str(path) for path in fileio.glob(f"{folder}/*.keras"))
    if len(found) != 1:
        raise InputError(
            f"{folder} holds {len(found)} .keras files, and not one: train the model again"
        )
    with storage.local_copy(found[0]) as file:
        return keras.saving.load_model(file, compile=False)
