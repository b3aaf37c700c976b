"""The synthetic films beside a model, and what its Trainer's own network made of them."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.prediction import INPUT, SIGNATURE, ModelContractError
from serving.version_folders import WARMUP_FILE

GOLDEN = Path("assets.extra") / "golden.json"
# Kernels choose their algorithm by the batch, and processors round differently.
DEFAULT_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Golden:
    """What a model must answer.

    Attributes:
      films: encoded images.
      probability: of each film, float32 [F] or [F, K].
      decision: likewise, int64.
      tolerance: how far a probability may be off.
    """

    films: Sequence[bytes]
    probability: NDArray[np.float32]
    decision: NDArray[np.int64]
    tolerance: float

    def mistakes(
        self,
        probability: NDArray[np.float32],
        decision: NDArray[np.int64],
        contract: Mapping[str, Any],
    ) -> tuple[float, int]:
        """How far answers to the films are off.

        Args:
          probability: that was answered, of any shape.
          decision: likewise.
          contract: of the model, for its operating points.

        Returns:
          The largest difference of a probability, infinite where there is none to compare; and
          how many decisions differ, but for those so near the operating point that they may.
        """
        if probability.shape != self.probability.shape or decision.shape != self.decision.shape:
            return float("inf"), 0
        off = np.abs(probability.astype(np.float64) - self.probability)
        thresholds = [one["operating_point"]["threshold"] for one in contract["outputs"]]
        sure = np.abs(self.probability - np.squeeze(thresholds)) > self.tolerance
        wrong = sure & (decision != self.decision)
        return float(np.nan_to_num(off, nan=np.inf).max(initial=0.0)), int(wrong.sum())


def read_golden(model_dir: Path) -> Golden | None:
    """The golden outputs; None without such a file.

    Raises:
      ModelContractError: if the file is damaged.
    """
    path = model_dir / GOLDEN
    if not path.is_file():
        return None
    try:
        content: dict[str, Any] = json.loads(path.read_bytes())
        return Golden(
            films=[base64.b64decode(image) for image in content["images"]],
            probability=np.asarray(content["outputs"]["probability"], np.float32),
            decision=np.asarray(content["outputs"]["decision"], np.int64),
            tolerance=float(content["tolerance"]),
        )
    except (ValueError, TypeError, KeyError) as error:
        raise ModelContractError(f"{path}: no golden outputs: {error!r}") from error


def read_films(model_dir: Path) -> list[bytes]:
    """The films of the largest warm-up request to `serving_default`; none without such a file.

    Raises:
      ModelContractError: if the file is damaged.
    """
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_log_pb2

    path = model_dir / WARMUP_FILE
    if not path.is_file():
        return []
    films: list[bytes] = []
    try:
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
            if request.model_spec.signature_name in ("", SIGNATURE) and INPUT in request.inputs:
                batch = list(tf.make_ndarray(request.inputs[INPUT]))
                films = max(films, batch, key=len)
    except (tf.errors.OpError, ValueError) as error:
        raise ModelContractError(f"{path}: no warm-up requests: {error}") from error
    return films
