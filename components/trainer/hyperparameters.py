"""What a tuner found, put into the settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from components.trainer.settings import TrainerSettings


def with_hyperparameters(
    settings: TrainerSettings, hyperparameters: Mapping[str, Any]
) -> TrainerSettings:
    """The settings, with the values that were found.

    Args:
      settings: of the Trainer.
      hyperparameters: KerasTuner's configuration of the best trial: under `values`, values by
        the settings' names, such as `head.units`.
    """
    changed = settings.model_dump()
    for name, value in hyperparameters["values"].items():
        *parents, last = name.split(".")
        place = changed
        for parent in parents:
            place = place[parent]
        place[last] = value
    return TrainerSettings.model_validate(changed)
