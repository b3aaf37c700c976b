"""Which weights the backbone will have, settled before anything else is done.

A run that cannot have the weights it asks for should stop at once, not after the data was read;
and what it falls back to belongs to the Trainer's cache key.
"""

from __future__ import annotations

import hashlib
import socket
from pathlib import Path

from components import progress
from components.trainer.settings import TrainerSettings

IMAGENET = "imagenet"
NO_WEIGHTS = "none"

_CONNECT_SECONDS = 10.0


def settle_weights(settings: TrainerSettings, image_size: int) -> TrainerSettings:
    """Make sure that the weights can be had.

    Args:
      settings: of the Trainer.
      image_size: side of the square input, in pixels.

    Returns:
      The settings; with random weights where ImageNet's cannot be downloaded and the settings
      allow to go on without.

    Raises:
      WeightsError: if the weights cannot be downloaded, found or fitted to the network.
    """
    # Keras takes seconds to import, and this module is also there for the digest below.
    from components.trainer.backbones import WeightsError, build_backbone

    if settings.weights == NO_WEIGHTS:
        return settings
    # Keras waits for ever for a network that swallows packets.
    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_CONNECT_SECONDS)
    try:
        build_backbone(
            settings.backbone, image_size=image_size, weights=settings.weights, seed=settings.seed
        )
    except WeightsError:
        if not (settings.allow_random_weights and settings.weights == IMAGENET):
            raise
        progress.warn(
            f"The ImageNet weights of {settings.backbone} could not be downloaded: going on with "
            "RANDOM weights"
        )
        return settings.model_copy(update={"weights": NO_WEIGHTS})
    finally:
        socket.setdefaulttimeout(timeout)
    return settings


def is_unseen_file(weights: str) -> bool:
    """Whether these weights are a file that this machine does not see."""
    return weights not in (IMAGENET, NO_WEIGHTS) and not Path(weights).is_file()


def weights_fingerprint(weights: str) -> str:
    """What tells these weights from others: a name as it is, a file by its content.

    A file that is not seen from here is known by its name alone, see `is_unseen_file`.
    """
    path = Path(weights)
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else weights
