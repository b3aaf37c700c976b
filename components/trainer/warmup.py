"""Warm-up requests: TensorFlow Serving runs them before it says that a model is available.

The first call of a loaded graph optimises it, and takes twenty times as long as the next.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from components.example_gen.synthetic.anatomy import sample_anatomy
from components.example_gen.synthetic.phantom import draw_film

WARMUP = "assets.extra/tf_serving_warmup_requests"

# Kernels choose their algorithm by shape: one image, as viewers ask, and batches of two sizes.
_BATCH_SIZES = (1, 2, 8)
_SIDE = 256


def write_warmup(model_dir: Path) -> None:
    """Write them beside a SavedModel, as an uncompressed TFRecord of PredictionLogs."""
    path = model_dir / WARMUP
    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for request in warmup_requests():
            writer.write(request.SerializeToString(deterministic=True))


def warmup_requests() -> Iterator[prediction_log_pb2.PredictionLog]:
    """Requests of synthetic films: no patient's image leaves with a model."""
    films = warmup_films()
    for name, size in (*(("serving_default", size) for size in _BATCH_SIZES), ("explain", 1)):
        log = prediction_log_pb2.PredictionLog()
        request = log.predict_log.request
        request.model_spec.signature_name = name
        images = tf.make_tensor_proto(films[:size], tf.string, [size])
        request.inputs["image_bytes"].CopyFrom(images)
        yield log


def warmup_films() -> list[bytes]:
    """The films of the largest request, encoded; the smaller ones have the first of them."""
    return [_draw(number) for number in range(max(_BATCH_SIZES))]


def _draw(number: int) -> bytes:
    rng = np.random.default_rng(number)
    film = draw_film(sample_anatomy("nih", rng), rng, side_length=_SIDE)
    # Both formats, for a decoder each.
    return cv2.imencode((".png", ".jpeg")[number % 2], film.pixels)[1].tobytes()
