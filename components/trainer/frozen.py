"""Networks with their variables frozen to constants, in the precision that they are served in.

TensorFlow folds constants into one another when it optimises a graph, and fuses a convolution with
the batch normalisation and the activation after it, which it cannot do with variables: the same
numbers, sooner.
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from pathlib import Path

import keras
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import (  # the public name moved away in 2.x
    convert_variables_to_constants_v2,
)

FLOAT32 = "float32"
BFLOAT16 = "bfloat16"

# In them rounding costs most, and gains nothing: at the input it is what every later layer sees,
# and a mean over a map adds up many small numbers.
_ALWAYS_FLOAT32 = (
    keras.layers.Normalization,
    keras.layers.Rescaling,
    keras.layers.GlobalAveragePooling2D,
)


def resolve_precision(precision: str) -> str:
    """`auto` as the precision that is fastest here.

    bfloat16 pays only where the processor multiplies in it, and costs elsewhere.
    """
    if precision != "auto":
        return precision
    return BFLOAT16 if _processor_has_bfloat16() else FLOAT32


def _processor_has_bfloat16() -> bool:
    if platform.system() != "Linux":
        return False
    flags = Path("/proc/cpuinfo").read_text()
    return "avx512_bf16" in flags or "amx_bf16" in flags


def freeze(network: keras.Model, precision: str) -> Callable[[tf.Tensor], tf.Tensor]:
    """The network as it is now, for inference.

    Args:
      network: of one input and one output, models nested in it or not.
      precision: `float32`; or `bfloat16`, with the weights kept in float32, and the layers that
        standardise the input or pool maps computing in it. Either replaces the policy that the
        network was trained under.

    Returns:
      A function from the network's input, float32, to its output, float32. Called in several
      `tf.function`s that are saved together, its constants are stored once.
    """
    twin = in_precision(network, precision)
    constant = to_constants(
        lambda inputs: tf.cast(twin(inputs, training=False), tf.float32), network.input_shape
    )
    return lambda inputs: constant(inputs)[0]


def to_constants(
    function: Callable[[tf.Tensor], object], input_shape: tuple[int | None, ...]
) -> Callable[[tf.Tensor], list[tf.Tensor]]:
    """A function with the variables that it reads as they are now.

    Args:
      function: of one tensor, float32, to one or several.
      input_shape: its tensor's.

    Returns:
      The same of constants, to a list. Of what a graph does not fetch it computes nothing.
    """
    variable = tf.function(function).get_concrete_function(tf.TensorSpec(input_shape, tf.float32))
    return convert_variables_to_constants_v2(variable)


class _FusedNormalization(keras.layers.BatchNormalization):
    """Batch normalisation with the statistics that were learnt, as one kernel.

    Keras computes it as a product and a sum, and in float32 whatever its policy: maps are read and
    written several times over, which costs more than the arithmetic. Half precision maps are taken
    as they are, by numbers in float32.
    """

    def call(self, inputs: tf.Tensor, **_: object) -> tf.Tensor:
        return tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=self.gamma,
            offset=self.beta,
            mean=self.moving_mean,
            variance=self.moving_variance,
            epsilon=self.epsilon,
            is_training=False,
        )[0]


def in_precision(network: keras.Model, precision: str) -> keras.Model:
    """The same network with the same float32 weights, computing in a precision, for inference."""
    standardising: list[keras.layers.Normalization] = []

    def clone(layer: keras.Layer) -> keras.Layer:
        kind, config = type(layer), layer.get_config()
        if not isinstance(layer, keras.Layer):
            # A bare operation, such as the sum of two maps, computes in what it is given.
            return kind.from_config(config)
        if _is_fusible(layer):
            # Without autocasting neither maps nor numbers are cast.
            return _FusedNormalization.from_config(config | {"dtype": FLOAT32, "autocast": False})
        wide = precision == FLOAT32 or isinstance(layer, _ALWAYS_FLOAT32)
        twin = kind.from_config(config | {"dtype": FLOAT32 if wide else "mixed_bfloat16"})
        if isinstance(twin, keras.layers.Normalization):
            standardising.append(twin)
        return twin

    twin = keras.models.clone_model(network, clone_function=clone, recursive=True)
    twin.set_weights(network.get_weights())
    for layer in standardising:
        layer.finalize_state()  # its mean and deviation are worked out of its weights
    return twin


def _is_fusible(layer: keras.Layer) -> bool:
    """Whether it is a batch normalisation over the channels of maps."""
    return (
        isinstance(layer, keras.layers.BatchNormalization)
        and len(layer.input.shape) == 4
        and layer.axis in (-1, 3)
        and layer.center
        and layer.scale
    )
