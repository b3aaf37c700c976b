"""Networks with their variables frozen to constants, in the precision that they are served in.

TensorFlow folds constants into one another when it optimises a graph (a batch normalisation into
the convolution before it, for one), which it cannot do with variables: the same numbers, sooner.
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
      precision: `float32`, as the network's own layers compute; or `bfloat16`, with the weights
        kept in float32, and the layers that standardise or pool computing in it.

    Returns:
      A function from the network's input, float32, to its output, float32. Called in several
      `tf.function`s that are saved together, its constants are stored once.
    """
    computing = network if precision == FLOAT32 else _in_bfloat16(network)

    def infer(inputs: tf.Tensor) -> tf.Tensor:
        return tf.cast(computing(inputs, training=False), tf.float32)

    variable = tf.function(infer).get_concrete_function(
        tf.TensorSpec([None, *network.input_shape[1:]], tf.float32)
    )
    constant = convert_variables_to_constants_v2(variable)
    return lambda inputs: constant(inputs)[0]


def _in_bfloat16(network: keras.Model) -> keras.Model:
    """The same network, computing in bfloat16 with its float32 weights."""

    def clone(layer: keras.Layer) -> keras.Layer:
        dtype = "float32" if isinstance(layer, _ALWAYS_FLOAT32) else "mixed_bfloat16"
        return type(layer).from_config(layer.get_config() | {"dtype": dtype})

    twin = keras.models.clone_model(network, clone_function=clone, recursive=True)
    twin.set_weights(network.get_weights())
    return twin
