"""Warm-up: the requests beside a model, run before anyone else may ask it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow_serving.apis import prediction_log_pb2

from serving.server import inference
from serving.server.errors import Code, StatusError
from serving.server.servable import Servable
from serving.version_folders import WARMUP_FILE

_MAX_RECORDS = 1000


def warm_up(servable: Servable) -> int:
    """Runs a version's warm-up requests; returns how many there were.

    Raises:
      StatusError: a record is damaged, of a kind that is not served, or its request fails.
    """
    path = servable.path / WARMUP_FILE
    if not path.is_file():
        return 0
    count = 0
    for record in _records(path):
        _run(servable, record)
        count += 1
    return count


def _records(path: Path) -> Iterator[prediction_log_pb2.PredictionLog]:
    try:
        for number, record in enumerate(tf.compat.v1.io.tf_record_iterator(str(path))):
            if number >= _MAX_RECORDS:
                raise StatusError(
                    Code.INVALID_ARGUMENT, f"{path}: more than {_MAX_RECORDS} warm-up records"
                )
            yield prediction_log_pb2.PredictionLog.FromString(record)
    except (DecodeError, tf.errors.OpError) as error:
        raise StatusError(Code.DATA_LOSS, f"{path}: a damaged warm-up record: {error}") from error


def _run(servable: Servable, record: prediction_log_pb2.PredictionLog) -> None:
    # Warm-up files name no version, and often no model: it is this one that is warmed up.
    call = inference.Call(servable.run)
    match record.WhichOneof("log_type"):
        case "predict_log":
            inference.predict(servable, record.predict_log.request, call)
        case "classify_log":
            inference.classify(servable, record.classify_log.request, call)
        case "regress_log":
            inference.regress(servable, record.regress_log.request, call)
        case "multi_inference_log":
            inference.multi_inference(servable, record.multi_inference_log.request, call)
        case kind:
            raise StatusError(Code.UNIMPLEMENTED, f"warm-up with {kind or 'an empty record'}")
