"""GPUs, where there are any: all of them, or one for each worker; in half precision."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import keras
import tensorflow as tf

from components import progress
from components.trainer.classifier import copy_weights
from components.trainer.settings import Devices
from components.trainer.workers import Workers


def prepare(devices: Devices) -> None:
    """What must be said before TensorFlow first touches a GPU."""
    for gpu in tf.config.list_physical_devices("GPU"):
        try:
            tf.config.experimental.set_memory_growth(gpu, devices.memory_growth)
        except RuntimeError as error:  # an earlier node of this process has used it
            progress.warn(f"trainer.devices.memory_growth is not applied: {error}")


@contextlib.contextmanager
def on_devices(
    devices: Devices, workers: Workers | None = None
) -> Iterator[Callable[[keras.Model], keras.Model]]:
    """The scope to build and compile a model in, as the devices need it.

    Args:
      devices: of the settings.
      workers: that train together; without them `multi_worker` is as `one`.

    Yields:
      A function from a float32 network to what takes its place in the model: itself where nothing
      is asked for; else a twin with its weights, mirrored on all GPUs (on all CPU devices, where
      there is no GPU) or workers, or computing in float16.
    """
    if workers is not None or (devices.strategy != "mirrored" and not devices.mixed_precision):
        with on_workers(workers) as placed:
            yield placed
        return
    policy = "mixed_float16" if devices.mixed_precision else "float32"
    with _strategy(devices).scope():
        yield lambda network: _twin(network, policy)


@contextlib.contextmanager
def on_workers(workers: Workers | None) -> Iterator[Callable[[keras.Model], keras.Model]]:
    """As `on_devices`, for what is trained on one device unless there are several workers."""
    if workers is None:
        yield lambda network: network
        return
    with workers.strategy.scope():
        yield lambda network: _twin(network, "float32")


def _strategy(devices: Devices) -> tf.distribute.Strategy:
    if devices.strategy != "mirrored":
        return tf.distribute.get_strategy()
    names = [one.name for kind in ("GPU", "CPU") for one in tf.config.list_logical_devices(kind)]
    kind = names[0].rsplit(":", 2)[1]
    return tf.distribute.MirroredStrategy([name for name in names if f":{kind}:" in name])


def _twin(network: keras.Model, policy: str) -> keras.Model:
    def clone(layer: keras.Layer) -> keras.Layer:
        if not isinstance(layer, keras.Layer):  # a bare operation has no dtype of its own
            return type(layer).from_config(layer.get_config())
        # What standardises is as exact as before: rounding there costs most.
        exact = isinstance(layer, (keras.layers.Normalization, keras.layers.Rescaling))
        dtype = "float32" if exact else policy
        return type(layer).from_config(layer.get_config() | {"dtype": dtype})

    twin = keras.models.clone_model(network, clone_function=clone, recursive=True)
    copy_weights(network, twin)
    return twin
