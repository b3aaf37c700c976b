"""Whose state it is: what tells a training from every other."""

from __future__ import annotations

from typing import Any

import numpy as np

from components.trainer import inputs
from components.trainer.batches import Split, in_memory
from components.trainer.index import Index
from components.trainer.preparation import Prepared
from components.trainer.settings import TrainerSettings
from tests.components.trainer.samples import SIDE

CONFIG = {"image_size": SIDE, "preprocessing": "a", "code": "a"}


def key(
    settings: dict[str, Any] | None = None,
    config: dict[str, Any] | None = None,
    weights: tuple[str, ...] = ("a", "cold"),
    images: tuple[str, ...] = ("1", "2"),
    labels: tuple[int, ...] = (0, 1),
) -> str:
    values = np.array(labels, np.float32)[:, None]
    split = Prepared(
        Index((), images, values, images, images), Split(in_memory([values]), values), None
    )
    return inputs._training_key(
        TrainerSettings.model_validate(settings or {}),
        CONFIG | (config or {}),
        weights,
        {"train": split, "val": split},
    )


def test_whatever_changes_a_training_changes_its_key() -> None:
    keys = [
        key(),
        key({"seed": 2}),
        key({"epochs": 3}),
        key({"head": {"dropout": 0.1}}),
        key({"trainable": "last_block"}),
        key({"cache": {"dtype": "bfloat16"}}),
        key(config={"image_size": 32}),
        key(config={"preprocessing": "b"}),
        key(config={"code": "b"}),
        key(weights=("b", "cold")),
        key(weights=("a", "warm")),
        key(images=("1", "3")),
        key(labels=(1, 0)),
    ]

    assert len(set(keys)) == len(keys)


def test_where_the_cache_is_and_what_is_drawn_does_not_change_the_key() -> None:
    assert key({"cache": {"folder": "/elsewhere", "max_gib": 1.0}}) == key()
    assert key({"explanation": {"method": "hires_cam", "opacity": 0.3}}) == key()
