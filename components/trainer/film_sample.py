"""A bounded sample of a split's films, with what a model that is served will see of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf

from components.trainer import input_sanity
from components.trainer.batches import Split
from components.trainer.frozen_part import Preprocess
from components.trainer.index import Index, image_batches
from components.trainer.network import Network
from components.trainer.preparation import Prepared
from components.trainer.training import predict_logits

# More would not move a limit by much, and each film is decoded once more.
MOST_FILMS = 512


@dataclasses.dataclass(frozen=True)
class FilmSample:
    """Films in the order of their digests.

    Attributes:
      rows: which of the split's they are, int [N].
      embeddings: pooled, of the network as it is served, float32 [N, d].
      layouts: see `input_sanity.layout`, float32 [N, LAYOUT_SIDE ** 2].
      colours: see `input_sanity.colour`, float32 [N].
      scalars: see `input_sanity.image_scalars`, each float32 [N].
    """

    rows: np.ndarray
    embeddings: np.ndarray
    layouts: np.ndarray
    colours: np.ndarray
    scalars: dict[str, np.ndarray]

    def __len__(self) -> int:
        """The number of films."""
        return len(self.rows)


def sample_films(
    split: Prepared, network: Network, preprocess: Preprocess, *, seed: int, most: int = MOST_FILMS
) -> FilmSample:
    """Draw films, the same for the same seed, and look at them.

    Args:
      split: whose films; its activations are there, and images are not run through the frozen part
        again.
      network: trained.
      preprocess: encoded images, string [N], to what the network takes.
      seed: chooses them.
      most: how many at most.
    """
    drawn = np.random.default_rng(seed).permutation(len(split.index.sha256))[:most]
    rows = np.sort(drawn)
    seen: dict[str, dict[str, np.ndarray]] = {}
    look = tf.function(
        lambda encoded: _look(encoded, preprocess),
        input_signature=[tf.TensorSpec([None], tf.string)],
    )
    for keys, images in _images(split.index, rows):
        found = {name: value.numpy() for name, value in look(tf.constant(images)).items()}
        for i, key in enumerate(keys):
            seen[key] = {name: value[i] for name, value in found.items()}
    films = [seen[split.index.sha256[row]] for row in rows]
    columns = {name: np.stack([film[name] for film in films]) for name in films[0]}
    return FilmSample(
        rows=rows,
        embeddings=_embeddings(split, network, rows),
        layouts=columns.pop("layout"),
        colours=columns.pop("colour"),
        scalars=columns,
    )


def _look(encoded: tf.Tensor, preprocess: Preprocess) -> dict[str, tf.Tensor]:
    grey = preprocess(encoded)[..., :1]
    return input_sanity.image_scalars(grey) | {
        "layout": input_sanity.layout(grey),
        "colour": input_sanity.colour(encoded),
    }


def _images(index: Index, rows: np.ndarray) -> Iterator[tuple[list[str], list[bytes]]]:
    return image_batches(index.files, {index.sha256[row] for row in rows})


def _embeddings(split: Prepared, network: Network, rows: np.ndarray) -> np.ndarray:
    kept = split.activations
    if network.suffix is None or kept is None:
        return split.embeddings.rows(rows, 0)
    # What was kept are activations of before fine-tuning: the suffix has learnt since.
    pooled = keras.layers.GlobalAveragePooling2D()(network.suffix.output)
    chosen = Split(lambda indices, view: kept.rows(rows[indices], view), kept.labels[rows])
    return predict_logits(keras.Model(network.suffix.input, pooled), chosen)
