"""The exported model, as the function that explains films, and what its contract says of it."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tfx.dsl.io import fileio

from components.errors import InputError
from components.grad_cam.contract import RETRAIN, ModelContract
from components.trainer.export import CONTRACT

SIGNATURE = "explain"


@dataclasses.dataclass(frozen=True)
class Explained:
    """What the model says of N films.

    Attributes:
      maps: of one output, float32 [N, h, w], logits, at least 0.
      overlays: PNG of each film with a heat map, at its own aspect ratio.
      overlaid: which output's map that is, [N].
    """

    maps: NDArray[np.float32]
    overlays: Sequence[bytes]
    overlaid: Sequence[str]


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
        # The signature alone would not keep what it computes with.
        self._model = tf.saved_model.load(folder)
        if SIGNATURE not in self._model.signatures:
            raise InputError(f"{folder} has no signature {SIGNATURE}: {RETRAIN}")
        self._run = self._model.signatures[SIGNATURE]
        self._contract = contract

    def __call__(self, images: Sequence[bytes]) -> Explained:
        """Explain films: encoded JPEG or PNG, [N]."""
        answers = self._run(image_bytes=tf.constant(list(images), tf.string))
        return explained(answers, self._contract)


def explained(answers: dict[str, Any], contract: ModelContract) -> Explained:
    """The signature's outputs, for one of the model's own."""
    maps = np.asarray(answers["heatmap"], np.float32)
    # A model of one finding has no axis for them.
    overlaid = [contract.name] * len(maps)
    if maps.ndim == 4:
        maps = maps[:, contract.output]
        overlaid = [name.decode() for name in np.asarray(answers["explained"]).tolist()]
    return Explained(maps, np.asarray(answers["overlay_png_bytes"]).tolist(), overlaid)


def read_contract(folder: str, finding: str = "") -> ModelContract:
    """Read the contract of a SavedModel.

    Args:
      folder: of the SavedModel.
      finding: of a multi-label model, the name of the output; empty for a binary one.

    Raises:
      InputError: if there is none, or it cannot be read, see `ModelContract.from_json`.
    """
    path = f"{folder}/{CONTRACT}"
    if not fileio.exists(path):
        raise InputError(f"the exported model has no contract: {path}")
    with fileio.open(path, "r") as file:
        return ModelContract.from_json(file.read(), finding)


def digest(folder: str) -> str:
    """Hexadecimal SHA-256 of a SavedModel's graph, which holds its weights."""
    with fileio.open(f"{folder}/saved_model.pb", "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()
