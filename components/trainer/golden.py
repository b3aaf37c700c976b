"""Golden outputs: what the trained network itself answers to synthetic films.

The Keras network, run in plain eager float32, with its calibration: not the exported graph. What
is served later must answer the same (the infra canary asks). As JSON:

    {"signature": "serving_default",
     "tolerance": 0.001,
     "images": [base64, ...],
     "outputs": {"probability": [...], "decision": [...], "label": [...]}}

The films are those of the warm-up requests: no patient's image leaves with a model. `probability`
may differ by `tolerance` at most. `decision`, and `label` with it, must be equal where the golden
probability is further than that from the operating point. Of a multi-label model each row is a
list, with a value for each finding.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from components.trainer.classifier import HEAD, POOL
from components.trainer.frozen import FLOAT32
from components.trainer.frozen_part import Preprocess
from components.trainer.serving_module import Answers
from components.trainer.tasks import BINARY
from components.trainer.warmup import warmup_films

GOLDEN = "assets.extra/golden.json"

# In float32 kernels differ in their last bits alone. In bfloat16 logits are off by up to 0.4
# (see `frozen_part.FrozenPart`), and the sigmoid is nowhere steeper than a quarter.
_TOLERANCE = 1e-3
_ROUNDED_TOLERANCE = 0.1


def write_golden(
    model_dir: Path,
    classifier: keras.Model,
    preprocess: Preprocess,
    answers: Answers,
    precision: str,
) -> None:
    """Write them beside a SavedModel.

    Args:
      model_dir: of the SavedModel.
      classifier: see `classifier.build_classifier`.
      preprocess: encoded images, string [N], to what the network takes.
      answers: what its outputs stand for.
      precision: in which it is served.
    """
    films = warmup_films()
    content = {
        "signature": "serving_default",
        "tolerance": _TOLERANCE if precision == FLOAT32 else _ROUNDED_TOLERANCE,
        "images": [base64.b64encode(film).decode() for film in films],
        "outputs": _outputs(classifier, preprocess(tf.constant(films)), answers),
    }
    path = model_dir / GOLDEN
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, allow_nan=False) + "\n")


def _outputs(classifier: keras.Model, images: tf.Tensor, answers: Answers) -> dict[str, Any]:
    # Up to the logits: the sigmoid after them saturates, and calibration works before it.
    pooled = keras.Model(classifier.input, classifier.get_layer(POOL).output)
    logits = classifier.get_layer(HEAD)(pooled(images, training=False), training=False).numpy()
    probability = np.stack(
        [one.calibration(logits[:, k]) for k, one in enumerate(answers.outputs)], axis=1
    )
    thresholds = [one.operating_point.threshold for one in answers.outputs]
    decision = (probability.astype(np.float64) >= thresholds).astype(int)
    if answers.task == BINARY:
        probability, decision = probability[:, 0], decision[:, 0]
        label = [answers.class_names[one] for one in decision]
    else:
        label = [list(answers.class_names)] * len(decision)
    return {"probability": probability.tolist(), "decision": decision.tolist(), "label": label}
