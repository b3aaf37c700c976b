"""Exported models that take a moment to make, and whose answers tests know."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import tensorflow as tf
from tfx.types import standard_artifacts

from components.example_gen import record
from components.trainer.contract_file import CONTRACT

THRESHOLD = 0.5


def model_artifact(
    root: Path, outputs: tuple[str, ...] = ("pneumonia",), factor: float = 1.0
) -> standard_artifacts.Model:
    """A model whose probability for each output is the image's mean grey level times a factor.

    Args:
      root: where the artifact goes.
      outputs: of which the second has half the first's probability, the third a third ...
      factor: of all of them.
    """
    share = tf.constant(factor / np.arange(1, len(outputs) + 1), tf.float32)

    class Module(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            # A variable, because losing it is what a careless loader does.
            self.share = tf.Variable(share)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "examples")])
        def serving_examples(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
            spec = {record.IMAGE: tf.io.FixedLenFeature([], tf.string)}
            encoded = tf.io.parse_example(examples, spec)[record.IMAGE]
            levels = tf.map_fn(_mean_level, encoded, fn_output_signature=tf.float32)
            probability = levels[:, tf.newaxis] * self.share
            decision = tf.cast(probability >= THRESHOLD, tf.int64)
            if len(outputs) == 1:
                probability, decision = probability[:, 0], decision[:, 0]
            return {"probability": probability, "decision": decision}

    module = Module()
    folder = root / "Format-Serving"
    signatures = {"serving_examples": module.serving_examples}
    tf.saved_model.save(module, str(folder), signatures=signatures)
    contract = folder / CONTRACT
    contract.parent.mkdir(parents=True, exist_ok=True)
    contract.write_text(json.dumps({"outputs": [{"name": name} for name in outputs]}))
    artifact = standard_artifacts.Model()
    artifact.uri = str(root)
    return artifact


def _mean_level(encoded: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(tf.cast(tf.io.decode_png(encoded), tf.float32)) / 255
