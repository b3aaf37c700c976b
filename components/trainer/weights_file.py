"""A network's weights from a file: all of them, or none.

Three kinds of file hold weights:

    .keras       a whole model, as Keras 3 saves it
    .h5          a whole model or its weights, as Keras 2 saved them; keras.applications and
                 RadImageNet publish these
    .weights.h5  weights alone, as Keras 3 saves them

A file may hold more than the network: the classifier that was trained on top of it. In the first
two kinds weights stand in the order of the layers, which is the order that data flows, so that
the network's come first and must agree one by one in shape. Names are no help there: those of
keras.applications changed from Keras 2 to 3. In the third kind they have no order, but a place
made of their layer's kind and number: each must be where this network would save it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import h5py
import keras
import numpy as np

# One array of a file and what the file calls it.
_Named = tuple[str, np.ndarray]


def load_weights_file(network: keras.Model, path: Path) -> None:
    """Fill a network from a file.

    Args:
      network: without a top.
      path: of one of the three kinds; the model may have a top, and the network may be nested in
        it, as it is in the classifiers that the Trainer saves.

    Raises:
      ValueError: if the file lacks some of the network's weights, or they differ in shape; also
        KeyError, TypeError and OSError, if it is no such file.
    """
    if path.suffix == ".keras":
        _fill(network, _of_model(keras.models.load_model(path, compile=False)))
        return
    with h5py.File(path) as file:
        # Keras 2 kept a whole model's weights a folder deeper than weights alone.
        group = file.get("model_weights", file)
        old = list(_of_keras_2(group)) if _strings(group, "layer_names") else None
        if old is None:
            _check_places(network, file)
    if old is None:
        network.load_weights(path)
    else:
        _fill(network, old)


def _fill(network: keras.Model, saved: list[_Named]) -> None:
    variables = [variable for layer in _leaves(network) for variable in layer.weights]
    for variable, (name, value) in zip(variables, saved, strict=False):
        if variable.shape != value.shape:
            raise ValueError(
                f"where {variable.path} of shape {tuple(variable.shape)} is expected, "
                f"it has {name} of shape {value.shape}"
            )
    if len(saved) < len(variables):
        raise ValueError(
            f"it ends before {variables[len(saved)].path}: it has {len(saved)} arrays, "
            f"the network {len(variables)}"
        )
    for variable, (_, value) in zip(variables, saved, strict=False):
        variable.assign(value)
    for layer in _leaves(network):
        if isinstance(layer, keras.layers.Normalization) and layer.weights:
            layer.finalize_state()  # it computes with what it derived from its weights


def _check_places(network: keras.Model, file: h5py.File) -> None:
    """Before Keras loads weights alone, whose own account of a misfit fills pages."""
    with tempfile.TemporaryDirectory() as folder:
        own = Path(folder) / "network.weights.h5"
        network.save_weights(own)
        with h5py.File(own) as expected:
            wanted = _shapes(expected)
    found = _shapes(file)
    for place, shape in wanted.items():
        if place not in found:
            raise ValueError(f"it lacks {place} of shape {shape}")
        if found[place] != shape:
            raise ValueError(f"{place} is of shape {found[place]}, and {shape} is expected")


def _shapes(file: h5py.File) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}

    def note(place: str, node: h5py.Group | h5py.Dataset) -> None:
        if isinstance(node, h5py.Dataset):
            shapes[place] = node.shape

    file.visititems(note)
    return shapes


def _of_model(model: keras.Model) -> list[_Named]:
    return [
        (variable.path, keras.ops.convert_to_numpy(variable))
        for layer in _leaves(model)
        for variable in layer.weights
    ]


def _leaves(model: keras.Model) -> Iterator[keras.Layer]:
    """The layers of a model and of the models nested in it, in the order that data flows."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _leaves(layer)
        else:
            yield layer


def _of_keras_2(group: h5py.Group) -> Iterator[_Named]:
    for layer in _strings(group, "layer_names"):
        for name in _strings(group[layer], "weight_names"):
            yield name, np.asarray(group[layer][name])


def _strings(group: h5py.Group, name: str) -> list[str]:
    """An attribute that is a list; a long one is spread over NAME0, NAME1 and so on."""
    values = group.attrs.get(name)
    if values is None:
        values = []
        while (part := group.attrs.get(f"{name}{len(values)}")) is not None:
            values.append(part)
        values = [value for part in values for value in part]
    return [value.decode() if isinstance(value, bytes) else value for value in values]
