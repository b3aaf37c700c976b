"""The synthetic films beside a model, and what its Trainer's own network made of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.prediction import INPUT, SIGNATURE, ModelContractError

WARMUP = Path("assets.extra") / "tf_serving_warmup_requests"
GOLDEN = Path("assets.extra") / "golden.json"


def read_films(model_dir: Path) -> list[bytes]:
    """The films of the largest warm-up request to `serving_default`; none without such a file.

    Raises:
      ModelContractError: if the file is damaged.
    """
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_log_pb2

    path = model_dir / WARMUP
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


def read_golden(model_dir: Path) -> NDArray[np.float32] | None:
    """The probabilities that the films should have, [F] or [F, K]; None without such a file.

    Raises:
      ModelContractError: if the file is damaged.
    """
    path = model_dir / GOLDEN
    if not path.is_file():
        return None
    try:
        content: dict[str, Any] = json.loads(path.read_bytes())
        return np.asarray(content["probability"], np.float32)
    except (ValueError, TypeError, KeyError) as error:
        raise ModelContractError(f"{path}: no golden outputs: {error!r}") from error
