"""Where a backbone is cut to be explained."""

from __future__ import annotations

import keras

from components.errors import InputError


def cut(backbone: keras.Model, layer: str) -> tuple[keras.Model, keras.Model]:
    """A backbone in two parts that share its weights: after(before(images)) == backbone(images).

    Args:
      backbone: an image, its normalisation and a network, one after the other, as
        `keras.applications` are wrapped here.
      layer: the name of a layer inside that network, whose input all that comes later depends on
        alone.

    Returns:
      Images, float32 [N, S, S, 3] on [0, 1], to that input, [N, h, w, C]; and that input to the
      backbone's last activations.

    Raises:
      ValueError: if there is no such layer.
    """
    image, *normalise, network = backbone.layers
    activations = network.get_layer(layer).input
    first = keras.Model(network.input, activations)
    x = image.output
    for step in normalise:
        x = step(x)
    return keras.Model(image.output, first(x)), keras.Model(activations, network.output)


def finer_layer(backbone: keras.Model) -> str:
    """Where the activations are those of the last finer grid: their reader's name.

    The last tensor of the network that has more cells than its output, that all later ones depend
    on alone (behind a residual's branching off they do not), and that is not a mere padding. It is
    14 by 14 where the last activations are 7 by 7.

    Args:
      backbone: as `cut` takes it.

    Raises:
      InputError: if all of the network is as coarse as its output.
    """
    network = backbone.layers[-1]
    operations = list(network.operations)
    made = {id(operation.output): at for at, operation in enumerate(operations)}
    last_read = {
        id(tensor): at
        for at, operation in enumerate(operations)
        for tensor in keras.tree.flatten(operation.input)
    }
    for at in range(len(operations) - 1, 0, -1):
        activations = operations[at].output
        if not _is_finer(activations, network.output):
            continue
        if isinstance(operations[at], keras.layers.InputLayer | keras.layers.ZeroPadding2D):
            continue
        if any(last_read.get(key, -1) > at for key, when in made.items() if when < at):
            continue
        for reader in network.layers:
            if reader.input is activations:
                return reader.name
    raise InputError(
        f"trainer.explanation.layer: finer, but no activations of {network.name} are finer than "
        "its last; use last"
    )


def _is_finer(activations: keras.KerasTensor, last: keras.KerasTensor) -> bool:
    shape: tuple[int, ...] = tuple(getattr(activations, "shape", ()))
    return len(shape) == 4 and shape[1] > last.shape[1]
