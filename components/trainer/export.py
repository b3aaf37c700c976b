"""The exported model: a SavedModel that takes encoded images and answers with a decision."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from components.example_gen import record
from components.trainer.calibration import Calibration, OperatingPoint
from components.trainer.classifier import SCORE

CONTRACT = "assets.extra/model_contract.json"
# Beside the SavedModel in the Model artifact: the same network for plain Keras.
KERAS_FOLDER = "saved_models"
INTENDED_USE = (
    "Research and education: telling pneumonia from normal on frontal chest X-rays like those it "
    "was trained on. Not a diagnostic device; not validated for any clinical use."
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelContract:
    """What one must know of a model to use it, beside it as JSON.

    Attributes:
      class_names: by label.
      backbone: its name in the registry.
      weights: where its weights came from: `imagenet`, a file, or `none` for random ones.
      weights_sha256: digest of the backbone's weights.
      image_size: side of the square that the network sees, in pixels.
      preprocessing: in words; the graph holds it.
      calibration: from logit to probability.
      operating_point: from probability to decision.
      code: digest of the Trainer's source.
      training: images per class of each split and the digest of their contents, seed, epochs.
      intended_use: what it is for, and what it is not.
    """

    class_names: tuple[str, ...]
    backbone: str
    weights: str
    weights_sha256: str
    image_size: int
    preprocessing: str
    calibration: Calibration
    operating_point: OperatingPoint
    code: str
    training: dict[str, Any]
    intended_use: str = INTENDED_USE

    def save(self, model_dir: Path) -> None:
        """Write it beside a SavedModel."""
        path = model_dir / CONTRACT
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(dataclasses.asdict(self), indent=2, allow_nan=False) + "\n")


class ServingModule(tf.Module):
    """The graph that is served: preprocessing, network, calibration, decision."""

    def __init__(
        self,
        classifier: keras.Model,
        preprocessing: tf.Module,
        calibration: Calibration,
        operating_point: OperatingPoint,
    ):
        """Join the parts.

        Args:
          classifier: images to scores, see `classifier.build_classifier`.
          preprocessing: the Transform node's graph, as a layer.
          calibration: from logit to probability.
          operating_point: from probability to decision.
        """
        super().__init__(name="cxr")
        self.classifier = classifier
        self.preprocessing = preprocessing
        # Up to the logit: the sigmoid saturates, and calibration works before it.
        self._logits = keras.Model(classifier.input, classifier.get_layer(SCORE).input)
        self._calibration = calibration
        self._threshold = operating_point.threshold

    def _answer(self, encoded: tf.Tensor) -> dict[str, tf.Tensor]:
        images = self.preprocessing({record.IMAGE: encoded[:, tf.newaxis]})["image"]
        logits = tf.squeeze(self._logits(images, training=False), axis=1)
        probability = tf.sigmoid(self._calibration.slope * logits + self._calibration.intercept)
        decision = tf.cast(probability >= self._threshold, tf.int64)
        label = tf.gather(tf.constant(record.CLASS_NAMES), decision)
        return {"probability": probability, "decision": decision, "label": label}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "image_bytes")])
    def serving_default(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        """Encoded images, string [N]: `probability`, `decision` and `label`, each [N]."""
        return self._answer(image_bytes)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "examples")])
    def serving_examples(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        """Serialized Examples, string [N]: the same."""
        spec = {record.IMAGE: tf.io.FixedLenFeature([], tf.string)}
        return self._answer(tf.io.parse_example(examples, spec)[record.IMAGE])


def export(module: ServingModule, contract: ModelContract, model_dir: Path) -> None:
    """Write the SavedModel with its signatures, and its contract."""
    tf.saved_model.save(
        module,
        str(model_dir),
        signatures={
            "serving_default": module.serving_default,
            "serving_examples": module.serving_examples,
        },
    )
    contract.save(model_dir)
