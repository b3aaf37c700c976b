"""A SavedModel that keeps the contract of the exported model and takes a second to make.

Its probability is a sigmoid of the image's mean grey level, so that tests know the answers.
"""

import json
import math
from collections.abc import Collection
from pathlib import Path

import cv2
import numpy as np

CLASS_NAMES = ("NORMAL", "PNEUMONIA")
THRESHOLD = 0.4
STEEPNESS = 6.0
# The first bytes are a PNG's, and nothing after them is.
UNDECODABLE_PNG = b"\x89PNG\r\n\x1a\n" + b"no image data"


def encoded_image(level: int, suffix: str = ".png") -> bytes:
    """A grey image of one level, encoded as its suffix says."""
    return cv2.imencode(suffix, np.full((24, 32), level, np.uint8))[1].tobytes()


def expected_probability(level: int) -> float:
    return 1 / (1 + math.exp(-STEEPNESS * (level / 255 - 0.5)))


def export_tiny_model(
    version_dir: Path,
    *,
    outputs: Collection[str] = ("probability", "decision", "label"),
    signature: str = "serving_default",
    input_name: str = "image_bytes",
) -> None:
    """Exports the model with these outputs, and its contract file."""
    import tensorflow as tf

    def mean_level(image: tf.Tensor) -> tf.Tensor:
        pixels = tf.io.decode_image(image, channels=1, expand_animations=False)
        return tf.reduce_mean(tf.cast(pixels, tf.float32)) / 255

    class TinyModel(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            # A variable, because losing it is what a careless loader does.
            self.steepness = tf.Variable(STEEPNESS)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name=input_name)])
        def serve(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
            level = tf.map_fn(mean_level, image_bytes, fn_output_signature=tf.float32)
            probability = tf.sigmoid(self.steepness * (level - 0.5))
            decision = tf.cast(probability >= THRESHOLD, tf.int64)
            label = tf.gather(tf.constant(CLASS_NAMES), decision)
            every = {"probability": probability, "decision": decision, "label": label}
            return {name: every[name] for name in outputs}

    model = TinyModel()
    tf.saved_model.save(model, str(version_dir), signatures={signature: model.serve})
    contract = {
        "class_names": list(CLASS_NAMES),
        "image_size": [224, 224],
        "outputs": [{"name": CLASS_NAMES[1], "operating_point": {"threshold": THRESHOLD}}],
        "intended_use": "tests",
    }
    extra = version_dir / "assets.extra"
    extra.mkdir()
    (extra / "model_contract.json").write_text(json.dumps(contract))
