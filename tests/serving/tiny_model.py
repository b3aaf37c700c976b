"""A SavedModel that keeps the contract of the exported model and takes a second to make.

Its probability is a sigmoid of the image's mean grey level, so that tests know the answers. So
do they of its heat map, which is the grey level in logits, and of its quality warnings.
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
# Cells of the heat map: rows and columns.
GRID = (3, 4)
# Warnings of a black and of a white image; others have none.
BLACK_QUALITY, WHITE_QUALITY = ("blank",), ("inverted", "unlike_training")
OUTPUTS = ("probability", "decision", "label", "quality")
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
    outputs: Collection[str] = OUTPUTS,
    signature: str = "serving_default",
    input_name: str = "image_bytes",
    explains: bool = True,
) -> None:
    """Exports the model with these outputs, and its contract file."""
    import tensorflow as tf

    images = tf.TensorSpec([None], tf.string, name=input_name)

    class TinyModel(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            # A variable, because losing it is what a careless loader does.
            self.steepness = tf.Variable(STEEPNESS)

        @tf.function(input_signature=[images], autograph=False)
        def serve(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
            levels = _mean_levels(image_bytes)
            probability = tf.sigmoid(self.steepness * (levels - 0.5))
            decision = tf.cast(probability >= THRESHOLD, tf.int64)
            label = tf.gather(tf.constant(CLASS_NAMES), decision)
            every = {
                "probability": probability,
                "decision": decision,
                "label": label,
                "quality": _quality(levels),
            }
            return {name: every[name] for name in outputs}

        @tf.function(input_signature=[images], autograph=False)
        def explain(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
            return self.serve(image_bytes) | _drawn(image_bytes)

    model = TinyModel()
    signatures = {signature: model.serve} | ({"explain": model.explain} if explains else {})
    tf.saved_model.save(model, str(version_dir), signatures=signatures)
    contract = {
        "class_names": list(CLASS_NAMES),
        "image_size": [224, 224],
        "outputs": [{"name": CLASS_NAMES[1], "operating_point": {"threshold": THRESHOLD}}],
        "intended_use": "tests",
        "explanation": _explanation(1),
    }
    _write_contract(version_dir, contract)


def export_tiny_multi_label_model(version_dir: Path) -> None:
    """Exports a model of several findings, each with an operating point of its own."""
    import tensorflow as tf

    images = tf.TensorSpec([None], tf.string, name="image_bytes")

    class TinyModel(tf.Module):
        @tf.function(input_signature=[images], autograph=False)
        def serve(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
            levels = _mean_levels(image_bytes)
            middles = list(FINDINGS.values())
            probability = tf.sigmoid(STEEPNESS * (levels[:, tf.newaxis] - middles))
            names = tf.tile(tf.constant([list(FINDINGS)]), [tf.shape(levels)[0], 1])
            decision = tf.cast(probability >= THRESHOLD, tf.int64)
            return {
                "probability": probability,
                "decision": decision,
                "label": names,
                "quality": _quality(levels),
            }

        @tf.function(input_signature=[images], autograph=False)
        def explain(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
            answers, drawn = self.serve(image_bytes), _drawn(image_bytes)
            heatmap = tf.repeat(drawn["heatmap"][:, tf.newaxis], len(FINDINGS), axis=1)
            # All findings have the same operating point: the margin is the probability's.
            explained = tf.gather(list(FINDINGS), tf.argmax(answers["probability"], axis=1))
            return answers | drawn | {"heatmap": heatmap, "explained": explained}

    model = TinyModel()
    signatures = {"serving_default": model.serve, "explain": model.explain}
    tf.saved_model.save(model, str(version_dir), signatures=signatures)
    outputs = [{"name": name, "operating_point": {"threshold": THRESHOLD}} for name in FINDINGS]
    contract = {
        "task": "multilabel",
        "class_names": list(FINDINGS),
        "outputs": outputs,
        "explanation": _explanation(len(FINDINGS)),
    }
    _write_contract(version_dir, contract)


def _mean_levels(images: "tf.Tensor") -> "tf.Tensor":  # noqa: F821
    import tensorflow as tf

    def mean_level(image: tf.Tensor) -> tf.Tensor:
        pixels = tf.io.decode_image(image, channels=1, expand_animations=False)
        return tf.reduce_mean(tf.cast(pixels, tf.float32)) / 255

    return tf.map_fn(mean_level, images, fn_output_signature=tf.float32)


def _quality(levels: "tf.Tensor") -> "tf.Tensor":  # noqa: F821
    import tensorflow as tf

    black, white = ",".join(BLACK_QUALITY), ",".join(WHITE_QUALITY)
    return tf.where(levels <= 0, black, tf.where(levels >= 1, white, ""))


def _drawn(images: "tf.Tensor") -> "dict[str, tf.Tensor]":  # noqa: F821
    """The grey levels as a heat map, and the image reddened by them at its own size."""
    import tensorflow as tf

    def draw(image: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        pixels = tf.io.decode_image(image, channels=1, expand_animations=False)
        heat = tf.image.resize(pixels, GRID, method="area")[..., 0] / 255 * STEEPNESS
        overlay = tf.concat([pixels, pixels // 2, pixels // 2], axis=-1)
        return heat, tf.io.encode_png(overlay)

    heat, overlays = tf.map_fn(draw, images, fn_output_signature=(tf.float32, tf.string))
    return {"heatmap": heat, "overlay_png_bytes": overlays}


def _explanation(outputs: int) -> dict[str, Any]:
    return {
        "method": "grad_cam",
        "layer": "",
        "grid": list(GRID),
        "unit": "logit",
        "opacity": 0.6,
        "references": [STEEPNESS] * outputs,
    }


def _write_contract(version_dir: Path, contract: Mapping[str, Any]) -> None:
    extra = version_dir / "assets.extra"
    extra.mkdir()
    (extra / "model_contract.json").write_text(json.dumps(contract))
