"""Which of the Trainer's settings embed anew, and which cannot be embedded at all."""

from __future__ import annotations

from typing import Any

import pytest

from components.embedding.settings import deciding
from components.trainer.settings import TrainerSettings
from pipeline.config import ConfigError, load_config


def made(**changes: Any) -> dict[str, Any]:
    return deciding(TrainerSettings.model_validate(changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"epochs": 7},
        {"head": {"units": 5}},
        {"learning_rate": 0.1},
        {"augmentation": {"views": 3}},
        {"cache": {"folder": "/elsewhere"}},
        {"cache": {"dtype": "bfloat16"}},
        {"seed": 9},
    ],
    ids=str,
)
def test_what_the_frozen_part_does_not_see_embeds_nothing_anew(changes: dict[str, Any]) -> None:
    assert made(**changes) == made()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({}, {"backbone": "ResNet50V2"}),
        ({}, {"weights": "none"}),
        ({}, {"precision": "bfloat16"}),
        ({}, {"trainable": "last_block"}),
        ({"weights": "none"}, {"weights": "none", "seed": 9}),
        ({"weights": "/w.h5"}, {"weights": "/w.h5", "input_range": "unit"}),
        (
            {"trainable": "last_block"},
            {"trainable": "last_block", "cache": {"dtype": "bfloat16"}},
        ),
    ],
    ids=str,
)
def test_what_decides_its_answers_does(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert made(**one) != made(**other)
    TrainerSettings.model_validate(made(**other))


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        ("trainer.trainable=all", "nothing is frozen"),
        ("trainer.warm_start=true", "known to the Trainer alone"),
        ("trainer.precision=auto", "say float32 or bfloat16"),
    ],
)
def test_what_cannot_be_embedded_is_refused_with_the_reason(override: str, reason: str) -> None:
    assert not load_config("pediatric", [override]).embedding.enabled
    with pytest.raises(
        ConfigError, match=f"{override.split('=')[0]}.*{reason}.*leave embedding.enabled out"
    ):
        load_config("pediatric", ["embedding.enabled=true", override])
