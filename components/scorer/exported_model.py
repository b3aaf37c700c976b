"""The exported model, as one function of Examples."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tfx.utils import path_utils

from components import storage
from components.scorer.features import DECISION, PROBABILITY
from components.trainer.contract_file import read_contract_text

_SIGNATURE = "serving_examples"


class ExportedModel:
    """The SavedModel of a Model artifact, loaded.

    Attributes:
      outputs: names of its K outputs.
    """

    def __init__(self, uri: str):
        """Load it.

        Args:
          uri: of the Model artifact.

        Raises:
          InputError: if the exported model has no contract.
        """
        folder = path_utils.serving_model_path(uri)
        self.outputs = read_outputs(uri)
        with storage.local_copy(folder) as path:
            # The signature alone would not keep what it computes with.
            self._model = tf.saved_model.load(str(path))
        self._run = self._model.signatures[_SIGNATURE]

    def __call__(self, examples: Sequence[bytes]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Serialized Examples, [N], to probabilities [N, K] and decisions [N, K]."""
        answers = self._run(examples=tf.constant(examples, tf.string))
        shape = (len(examples), len(self.outputs))
        return (
            answers[PROBABILITY].numpy().reshape(shape),
            answers[DECISION].numpy().reshape(shape),
        )


def read_outputs(uri: str) -> tuple[str, ...]:
    """The names of a model's outputs, out of its contract.

    Args:
      uri: of the Model artifact.

    Raises:
      InputError: if the exported model has no contract.
    """
    contract = json.loads(read_contract_text(path_utils.serving_model_path(uri)))
    return tuple(output["name"] for output in contract["outputs"])
