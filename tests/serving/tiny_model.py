"""A SavedModel that keeps the contract of the exported model and takes a second to make.

Its probability is a sigmoid of the image's mean grey level, so that tests know the answers.
"""

import json
import math
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

CLASS_NAMES = ("NORMAL", "PNEUMONIA")
THRESHOLD = 0.4
STEEPNESS = 6.0
# Of the multi-label model: the grey level at which each finding is as likely as not.
FINDINGS = {"Effusion": 0.5, "Mass": 0.1, "[b]Hernia": 1.5}
# The first bytes are a PNG's, and nothing after them is.
UNDECODABLE_PNG = b"\x89PNG\r\n\x1a\n" + b"no image data"


def encoded_image(level: int, suffix: str = ".png") -> bytes:
    """A grey image of one level, encoded as its suffix says."""
    return cv2.imencode(suffix, np.full((24, 32), level, np.uint8))[1].tobytes()


def expected_probability(level: int, middle: float = 0.5) -> float:
    return 1 / (1 + math.exp(-STEEPNESS * (level / 255 - middle)))


def export_tiny_model(
    version_dir: Path,
    *,
    outputs: Collection[str] = ("probability", "decision", "label"),
    signature: str = "serving_default",
    input_name: str = "image_bytes",
) -> None:
    """Exports the model with these outputs, and its contract file."""
    import tensorflow as tf

    class TinyModel(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            # A variable, because losing it is what a careless loader does.
            self.steepness = tf.Variable(STEEPNESS)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name=input_name)])
        def serve(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
            probability = tf.sigmoid(self.steepness * (_mean_levels(image_bytes) - 0.5))
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
    _write_contract(version_dir, contract)


def export_tiny_multi_label_model(version_dir: Path) -> None:
    """Exports a model of several findings, each with an operating point of its own."""
    import tensorflow as tf

    class TinyModel(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
        def serve(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
            level = _mean_levels(image_bytes)[:, tf.newaxis]
            probability = tf.sigmoid(STEEPNESS * (level - list(FINDINGS.values())))
            names = tf.tile(tf.constant([list(FINDINGS)]), [tf.shape(level)[0], 1])
            decision = tf.cast(probability >= THRESHOLD, tf.int64)
            return {"probability": probability, "decision": decision, "label": names}

    model = TinyModel()
    tf.saved_model.save(model, str(version_dir), signatures={"serving_default": model.serve})
    outputs = [{"name": name, "operating_point": {"threshold": THRESHOLD}} for name in FINDINGS]
    contract = {"task": "multilabel", "class_names": list(FINDINGS), "outputs": outputs}
    _write_contract(version_dir, contract)


def _mean_levels(images: "tf.Tensor") -> "tf.Tensor":  # noqa: F821
    import tensorflow as tf

    def mean_level(image: tf.Tensor) -> tf.Tensor:
        pixels = tf.io.decode_image(image, channels=1, expand_animations=False)
        return tf.reduce_mean(tf.cast(pixels, tf.float32)) / 255

    return tf.map_fn(mean_level, images, fn_output_signature=tf.float32)


def _write_contract(version_dir: Path, contract: Mapping[str, Any]) -> None:
    extra = version_dir / "assets.extra"
    extra.mkdir()
    (extra / "model_contract.json").write_text(json.dumps(contract))
