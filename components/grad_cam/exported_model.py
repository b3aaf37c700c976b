"""The exported model, as the function that explains films, and what its contract says of it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tfx.dsl.io import fileio

from components import storage
from components.errors import InputError
from components.grad_cam.contract import RETRAIN, ModelContract
from components.trainer.contract_file import read_contract_text

SIGNATURE = "explain"


class ExplainingModel:
    """The SavedModel, loaded: the same function that a server offers."""

    def __init__(self, folder: str, contract: ModelContract):
        """Load it.

        Args:
          folder: of the SavedModel.
          contract: which of its outputs is meant.

        Raises:
          InputError: if it has no signature `explain`.
        """
        with storage.local_copy(folder) as path:
            # The signature alone would not keep what it computes with.
            self._model = tf.saved_model.load(str(path))
        if SIGNATURE not in self._model.signatures:
            raise InputError(f"{folder} has no signature {SIGNATURE}: {RETRAIN}")
        self._run = self._model.signatures[SIGNATURE]
        self._contract = contract

    def __call__(self, images: Sequence[bytes]) -> NDArray[np.float32]:
        """The maps of encoded JPEG or PNG films, [N]: float32 [N, h, w], logits, at least 0."""
        answers = self._run(image_bytes=tf.constant(list(images), tf.string))
        maps = answers["heatmap"].numpy()
        # A model of one finding has no axis for them.
        return maps if maps.ndim == 3 else maps[:, self._contract.output]


def read_contract(folder: str, finding: str = "") -> ModelContract:
    """Read the contract of a SavedModel.

    Args:
      folder: of the SavedModel.
      finding: of a multi-label model, the name of the output; empty for a binary one.

    Raises:
      InputError: if there is none, or it cannot be read, see `ModelContract.from_json`.
    """
    return ModelContract.from_json(read_contract_text(folder), finding)


def digest(folder: str) -> str:
    """Hexadecimal SHA-256 of a SavedModel's graph, which holds its weights."""
    with fileio.open(f"{folder}/saved_model.pb", "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()
