"""The explanations of the exported model: the network that gives them, and their scale."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from components import progress
from components.explanation.layers import finer_layer
from components.explanation.maps import Explainer, Seen
from components.explanation.methods import Method
from components.explanation.overlay import draw_overlays
from components.explanation.scale import fit_references
from components.trainer import settings
from components.trainer.classifier import BACKBONE, HEAD, build_classifier
from components.trainer.frozen import FLOAT32, in_precision, to_constants
from components.trainer.frozen_part import Preprocess
from components.trainer.index import Index, read_images

# Of a grid of 7 by 7 they have 6,272 cells, 63 of them above the 99th percentile.
_FILMS = 128


@dataclasses.dataclass(frozen=True)
class Explanation:
    """How maps are made and drawn, as the contract says it.

    Attributes:
      method: see `explanation.maps`.
      layer: as `explanation.maps.Explainer` takes it: whose input is explained, by its name in the
        backbone's network; empty for the backbone's last activations.
      grid: rows and columns of a map.
      opacity: of the hottest colour, on [0, 1].
      references: for each output the value that has the hottest colour, in logits; 0 where no cell
        of any film spoke for it, and nothing is drawn.
      unit: of maps and references.
    """

    method: Method
    layer: str
    grid: tuple[int, int]
    opacity: float
    references: tuple[float, ...]
    unit: str = "logit"


class FrozenClassifier:
    """Images to embeddings, logits and maps, as one function of constants."""

    def __init__(self, classifier: keras.Model, precision: str, method: Method, layer: str):
        """Freeze a classifier as it is now.

        Args:
          classifier: see `classifier.build_classifier`.
          precision: of the backbone, `float32` or `bfloat16`.
          method: see `explanation.maps`.
          layer: as `explanation.maps.Explainer` takes it.
        """
        # The head is two small matrices: rounding them would gain nothing.
        twin = build_classifier(
            in_precision(classifier.get_layer(BACKBONE), precision),
            in_precision(classifier.get_layer(HEAD), FLOAT32),
        )
        explainer = Explainer(twin, method=method, layer=layer)
        self.method: Method = method
        self.layer = layer
        self.grid = explainer.grid
        self._see = to_constants(explainer.see, classifier.input_shape)

    def __call__(self, images: tf.Tensor) -> Seen:
        """What the network sees in images, float32 [N, S, S, 3] on [0, 1].

        In a graph that fetches no maps, none are made. Called in several functions that are saved
        together, it is stored once.
        """
        return Seen(*self._see(images))


def freeze_classifier(
    classifier: keras.Model, precision: str, how: settings.Explanation
) -> FrozenClassifier:
    """As the settings say.

    Raises:
      InputError: if finer maps are asked for, and the backbone has none.
    """
    layer = finer_layer(classifier.get_layer(BACKBONE)) if how.layer == "finer" else ""
    return FrozenClassifier(classifier, precision, how.method, layer)


def fit(
    network: FrozenClassifier,
    preprocess: Preprocess,
    index: Index,
    how: settings.TrainerSettings,
) -> Explanation:
    """Fit the scale of the maps on films, drawn by the seed.

    Args:
      network: that is explained.
      preprocess: encoded images, string [N], to what it takes.
      index: of the validation split.
      how: the Trainer's settings.
    """
    rng = np.random.default_rng(how.seed)
    drawn = rng.permutation(len(index.sha256))[:_FILMS]
    wanted = {index.sha256[number] for number in drawn}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def maps_of(encoded: tf.Tensor) -> tf.Tensor:
        return network(preprocess(encoded)).maps

    maps: list[np.ndarray] = []
    for images in read_images(index.files, wanted):
        maps += list(maps_of(tf.constant(images)).numpy())
        progress.report(len(maps), len(drawn), "films explained, for the scale of the maps")
    return Explanation(
        method=network.method,
        layer=network.layer,
        grid=network.grid,
        opacity=how.explanation.opacity,
        references=fit_references(np.stack(maps)),
    )


def most_above(probability: tf.Tensor, thresholds: Sequence[float]) -> tf.Tensor:
    """Which output lies furthest above its operating point, or least below it.

    In log odds, or the rare findings' low thresholds would leave them behind.

    Args:
      probability: float32 [N, K].
      thresholds: of the K outputs.

    Returns:
      int64 [N].
    """
    return tf.argmax(_logit(probability) - _logit(tf.constant(thresholds, tf.float32)), axis=1)


def draw(
    encoded: tf.Tensor,
    images: tf.Tensor,
    maps: tf.Tensor,
    shown: tf.Tensor,
    explanation: Explanation,
) -> tf.Tensor:
    """Draw one of each film's maps on it.

    Args:
      encoded: the films, string [N].
      images: what the network sees of them, float32 [N, S, S, 3] on [0, 1].
      maps: float32 [N, K, h, w], in logits.
      shown: which of the K, int64 [N].
      explanation: the scale.

    Returns:
      PNGs, string [N].
    """
    references = tf.constant(explanation.references)[tf.newaxis, :, tf.newaxis, tf.newaxis]
    heat = tf.clip_by_value(tf.math.divide_no_nan(maps, references), 0.0, 1.0)
    one = tf.gather(heat, shown, axis=1, batch_dims=1)
    return draw_overlays(encoded, images, one, opacity=explanation.opacity)


def _logit(probability: tf.Tensor) -> tf.Tensor:
    kept_off = tf.clip_by_value(probability, 1e-7, 1 - 1e-7)
    return tf.math.log(kept_off) - tf.math.log1p(-kept_off)
