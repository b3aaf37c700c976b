"""The pass of the frozen part: each image of a split goes through it once.

What does not change while the rest is trained need not be computed in every epoch: kept, it makes
ten epochs cost what one does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from components import progress
from components.errors import InputError
from components.trainer import augmentation
from components.trainer.activation_cache import ActivationCache
from components.trainer.frozen_part import FrozenPart
from components.trainer.index import Index, image_batches
from components.trainer.settings import Augmentation


def compute(index: Index, part: FrozenPart, cache: ActivationCache, what: str) -> None:
    """Have the cache hold every image of a split.

    Args:
      index: the images.
      part: what computes the missing ones.
      cache: where they are found, and kept, by sha256.
      what: in words, for who watches.

    Raises:
      InputError: if the files lack some of the images, or an image gives no numbers.
    """
    names = {sha256: view_name(sha256, 0) for sha256 in index.sha256}
    _pass(index, cache, names, what, lambda images, _: part(images))


def compute_view(
    index: Index,
    part: FrozenPart,
    cache: ActivationCache,
    view: int,
    settings: Augmentation,
    seed: int,
) -> None:
    """Have the cache hold an altered view of every image, by `view_name`; as `compute`."""

    def altered(images: Sequence[bytes], sha256: Sequence[str]) -> np.ndarray:
        changes = augmentation.alterations(
            sha256, view, settings, seed=seed, image_size=part.image_size
        )
        return part(images, changes)

    names = {sha256: view_name(sha256, view) for sha256 in index.sha256}
    _pass(index, cache, names, f"images, view {view} of {settings.views}", altered)


def view_name(sha256: str, view: int) -> str:
    """An image's name in a cache of views; 0 is the image itself."""
    return f"{sha256}-{view}" if view else sha256


def _pass(
    index: Index,
    cache: ActivationCache,
    names: dict[str, str],
    what: str,
    run: Callable[[Sequence[bytes], Sequence[str]], np.ndarray],
) -> None:
    missing = {sha256 for sha256, name in names.items() if name not in cache}
    for keys, images in image_batches(index.files, missing):
        cache.add([names[key] for key in keys], run(images, keys))
        progress.report(len(names) - len(missing), len(names), what)
    cache.save()
    if missing:
        raise InputError(
            f"{len(missing)} of {len(names)} images are not in the {len(index.files)} files given, "
            f"such as the one with sha256 {min(missing)}"
        )
