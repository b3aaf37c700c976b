"""Splits as the probes see them, drawn from distributions whose answer is known."""

from __future__ import annotations

import numpy as np

from components.baseline_probe.features import SEES, THUMBNAIL, Measured

FEATURES = 4


def make_split(
    seed: int,
    images: dict[str, int],
    *,
    outputs: int = 1,
    direction: dict[str, float] | None = None,
) -> Measured:
    """Thumbnails that tell the label, in a direction that each dataset may have of its own.

    Every third image is positive. Border and metadata are noise.
    """
    rng = np.random.default_rng(seed)
    datasets = np.repeat(list(images), list(images.values()))
    labels = np.zeros((len(datasets), outputs), np.int64)
    labels[::3] = 1
    signs = np.array([(direction or {}).get(str(one), 1.0) for one in datasets])
    seen = {name: rng.normal(size=(len(datasets), FEATURES)).astype(np.float32) for name in SEES}
    seen[THUMBNAIL][:, 0] += 2 * signs * (2 * labels[:, 0] - 1)
    sha256 = np.array([f"{seed:04d}-{number:04d}" for number in range(len(datasets))])
    return Measured(sha256, datasets, labels, seen)
