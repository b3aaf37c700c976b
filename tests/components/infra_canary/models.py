"""Small models with all the signatures of the real one, and what can be wrong with them."""

import base64
import json
from collections.abc import Callable
from pathlib import Path

import tensorflow as tf

from components.trainer.warmup import write_warmup
from serving.golden import GOLDEN, read_films

Probability = Callable[[tf.Tensor], tf.Tensor]
THRESHOLD = 0.5
# What the Trainer's network makes of a film: of the test's own arithmetic, not of the export.
LARGEST_LEVEL = 255


def of_mean(films: tf.Tensor) -> tf.Tensor:
    """A probability for each film, float32 [N]: its mean grey level."""
    return tf.map_fn(_mean, films, fn_output_signature=tf.float32)


def never_a_number(films: tf.Tensor) -> tf.Tensor:
    return of_mean(films) * float("nan")


def of_the_batch(films: tf.Tensor) -> tf.Tensor:
    """As a careless normalisation makes it: it depends on what else is in the batch."""
    return (of_mean(films) + tf.reduce_mean(of_mean(films))) / 2


def export_model(
    folder: Path,
    probability: Probability = of_mean,
    *,
    without: str = "",
    embed_crashes: bool = False,
    golden_shift: float | None = 0.0,
) -> Path:
    """Write a model as the Trainer does.

    Args:
      folder: gets the SavedModel, its contract, warm-up requests and golden outputs.
      probability: of films, string [N].
      without: a signature that is left out.
      embed_crashes: whether that signature ends the process.
      golden_shift: by which golden.json is off; None for none.
    """

    def string(name: str) -> Callable:
        return tf.function(input_signature=[tf.TensorSpec([None], tf.string, name)])

    class Model(tf.Module):
        def answer(self, films: tf.Tensor) -> dict[str, tf.Tensor]:
            found = probability(films)
            decision = tf.cast(found >= THRESHOLD, tf.int64)
            label = tf.gather(tf.constant(["normal", "pneumonia"]), decision)
            return {"probability": found, "decision": decision, "label": label}

        @string("image_bytes")
        def serving_default(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
            return self.answer(image_bytes)

        @string("examples")
        def serving_examples(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
            return self.answer(_films(examples))

        @string("inputs")
        def classify(self, inputs: tf.Tensor) -> dict[str, tf.Tensor]:
            found = probability(_films(inputs))
            classes = tf.tile(tf.constant([["normal", "pneumonia"]]), [tf.size(found), 1])
            return {"classes": classes, "scores": tf.stack([1 - found, found], axis=1)}

        @string("image_bytes")
        def explain(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
            answer = self.answer(image_bytes)
            heat = tf.tile(answer["probability"][:, tf.newaxis, tf.newaxis], [1, 2, 2])
            return {**answer, "heatmap": heat, "overlay_png_bytes": image_bytes}

        @string("image_bytes")
        def embed(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
            crash = [tf.raw_ops.Abort(error_msg="a broken kernel")] if embed_crashes else []
            with tf.control_dependencies(crash):
                return {"embedding": tf.tile(of_mean(image_bytes)[:, tf.newaxis], [1, 4])}

        @string("examples")
        def transform_features(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"image": of_mean(_films(examples))[:, tf.newaxis]}

    model = Model()
    names = {
        *("serving_default", "serving_examples", "classify"),
        *("explain", "embed", "transform_features"),
    }
    tf.saved_model.save(
        model, str(folder), signatures={name: getattr(model, name) for name in names - {without}}
    )
    write_warmup(folder)
    contract = {
        "task": "binary",
        "class_names": ["normal", "pneumonia"],
        "outputs": [{"name": "pneumonia", "operating_point": {"threshold": THRESHOLD}}],
        "precision": "float32",
        "explanation": {"method": "grad_cam"},
        "backbone": "MeanLevel",
        "training": {"validation_auc": {"pneumonia": 0.9}, "images": {"train": {"normal": 7}}},
    }
    (folder / "assets.extra/model_contract.json").write_text(json.dumps(contract))
    if golden_shift is not None:
        write_golden(folder, golden_shift)
    return folder


def write_golden(folder: Path, shift: float) -> None:
    encoded = read_films(folder)
    # The decoder of the graph: others differ by a grey level or two in JPEG.
    films = [tf.io.decode_image(film, channels=1).numpy() for film in encoded]
    probabilities = [float(film.mean() / LARGEST_LEVEL + shift) for film in films]
    content = {
        "signature": "serving_default",
        "tolerance": 1e-3,
        "images": [base64.b64encode(film).decode() for film in encoded],
        "outputs": {
            "probability": probabilities,
            "decision": [int(one >= THRESHOLD) for one in probabilities],
        },
    }
    (folder / GOLDEN).write_text(json.dumps(content))


def _films(examples: tf.Tensor) -> tf.Tensor:
    spec = {"image/encoded": tf.io.FixedLenFeature([], tf.string)}
    return tf.io.parse_example(examples, spec)["image/encoded"]


def _mean(film: tf.Tensor) -> tf.Tensor:
    pixels = tf.io.decode_image(film, channels=1, expand_animations=False)
    return tf.reduce_mean(tf.cast(pixels, tf.float32)) / LARGEST_LEVEL
