"""The frozen part of a network as the settings ask for it, and how its answers are kept.

Whoever runs it (the Trainer, or the workers of the Embedder) makes it here: the same images then
have the same rows, by the same names.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf
import tensorflow_transform as tft

from components.example_gen import record
from components.trainer import augmentation, frozen
from components.trainer.activation_rows import FLOAT32
from components.trainer.backbones import weights_digest
from components.trainer.frozen import resolve_precision
from components.trainer.index import BATCH, digest
from components.trainer.settings import TrainerSettings

Preprocess = Callable[[tf.Tensor], tf.Tensor]


class FrozenPart:
    """Encoded images to what the frozen part of the network makes of them.

    In float32 that is the Keras model's output but for rounding (1e-5 of the largest activation
    at most), and so are the exported model's answers. In bfloat16 it differs by up to 1 %, and
    standardisation magnifies that. Measured with random DenseNet121s on 600 films: 0.4 % of the
    largest activation; logits 0.04 to 0.16 (at most 0.4) off where their standard deviation is 6;
    up to 1 % of the decisions; AUC as before within 0.001.
    """

    def __init__(
        self,
        network: keras.Model,
        preprocess: Preprocess,
        *,
        preprocess_digest: str,
        precision: str,
    ):
        """Name it; the network is frozen at the first call.

        Args:
          network: images, float32 [N, s, s, 3] on [0, 1], to activations, [N, ...].
          preprocess: encoded images, string [N], to what the network takes.
          preprocess_digest: what tells this preprocessing from any other.
          precision: `float32` or `bfloat16`.
        """
        self.shape: tuple[int, ...] = network.output_shape[1:]
        self.image_size: int = network.input_shape[1]
        self.key = digest(
            preprocess_digest, precision, _structure(network), weights_digest(network), _code()
        )
        self._network = network
        self._preprocess = preprocess
        self._precision = precision

    def __call__(
        self, encoded: Sequence[bytes], altered: tuple[np.ndarray, np.ndarray] | None = None
    ) -> np.ndarray:
        """Run a batch, as it is or altered (see `augmentation.alterations`): float32 [N, ...].

        Every batch is filled up to the same size: how many others are beside an image may change
        the last bit of what it gives, and a pass that was killed is taken up with other batches.
        """
        count, missing = len(encoded), max(BATCH - len(encoded), 0)
        images = tf.constant([*encoded, *[encoded[-1]] * missing], tf.string)
        if altered is None:
            return self._run(images).numpy()[:count]
        filled = [np.concatenate([one, one[-1:].repeat(missing, axis=0)]) for one in altered]
        return self._run_altered(images, *filled).numpy()[:count]

    def trace(self) -> None:
        """Make the graph now: for threads, which would each make one at their first call."""
        self._run.get_concrete_function()

    @functools.cached_property
    def _frozen(self) -> Preprocess:
        """The frozen graph, made when first needed: with a warm cache, never."""
        return frozen.freeze(self._network, self._precision)

    @functools.cached_property
    def _run(self) -> tf.types.experimental.PolymorphicFunction:
        network = self._frozen
        return tf.function(
            lambda encoded: network(self._preprocess(encoded)),
            input_signature=[tf.TensorSpec([None], tf.string)],
        )

    @functools.cached_property
    def _run_altered(self) -> tf.types.experimental.PolymorphicFunction:
        network = self._frozen

        def run(encoded: tf.Tensor, transforms: tf.Tensor, contrasts: tf.Tensor) -> tf.Tensor:
            images = self._preprocess(encoded)
            return network(augmentation.alter(images, transforms, contrasts))

        return tf.function(
            run,
            input_signature=[
                tf.TensorSpec([None], tf.string),
                tf.TensorSpec([None, 8], tf.float32),
                tf.TensorSpec([None], tf.float32),
            ],
        )


def read_preprocessing(transform_graph: str) -> Preprocess:
    """What Transform wrote, as a function of encoded images, string [N]."""
    return of_encoded(tft.TFTransformOutput(transform_graph).transform_features_layer())


def of_encoded(layer: Callable[[dict[str, tf.Tensor]], dict[str, tf.Tensor]]) -> Preprocess:
    """Transform's graph, a layer of features, as a function of encoded images, string [N]."""
    return lambda encoded: layer({record.IMAGE: encoded[:, tf.newaxis]})["image"]


def frozen_part(
    network: keras.Model, preprocess: Preprocess, settings: TrainerSettings, preprocess_digest: str
) -> FrozenPart:
    """What images go through, and whose answers are kept.

    Args:
      network: the frozen part of a `network.Network`.
      preprocess: encoded images, string [N], to what it takes.
      settings: of the Trainer.
      preprocess_digest: what tells this preprocessing from any other.
    """
    # Where all of it learns the frozen part picks a channel, and has nothing to round.
    precision = resolve_precision(settings.precision) if network.weights else FLOAT32
    return FrozenPart(network, preprocess, preprocess_digest=preprocess_digest, precision=precision)


def kept_dtype(settings: TrainerSettings) -> str:
    """In which the frozen part's answers are kept.

    Embeddings are small, and standardisation magnifies what rounding does to them.
    """
    return FLOAT32 if settings.trainable == "head" else settings.cache.dtype


def cache_name(key: str, settings: TrainerSettings) -> str:
    """Of a folder with answers, by the frozen part's key."""
    return f"{key}-{kept_dtype(settings)}"


def _structure(network: keras.Model) -> str:
    """What the network does besides its weights: the settings of its layers, but for their names.

    Keras counts the names up with every layer that is made in a process.
    """
    leaves = [layer for layer in network._flatten_layers() if not isinstance(layer, keras.Model)]
    return str([(type(one).__name__, one.get_config() | {"name": ""}) for one in leaves])


@functools.cache
def _code() -> str:
    """What computes: these modules and TensorFlow decide the last bits of an activation."""
    sources = [inspect.getsource(module) for module in (frozen, augmentation)]
    return digest(tf.__version__, keras.__version__, *sources)
