"""What one run of a compiled pipeline changes of its experiment."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping
from typing import Any

from pipeline.runners.kubeflow import parameters


@dataclasses.dataclass(frozen=True)
class RuntimeSettings:
    """The parameters of a run, as far as a node has them; each by default as compiled.

    Attributes:
      overrides: `key.subkey=value`, as of `--set`.
      data_root: where the datasets are.
      data_fingerprint: digest of their files.
      serving_root: pushed models go below it.
      train_steps: after which training ends; 0 for as the experiment says.
    """

    overrides: tuple[str, ...] = ()
    data_root: str = ""
    data_fingerprint: str = ""
    serving_root: str = ""
    train_steps: int = 0

    @property
    def all_overrides(self) -> tuple[str, ...]:
        """All that can be said in the words of `--set`."""
        steps = (f"trainer.max_steps={self.train_steps}",) if self.train_steps else ()
        return (*self.overrides, *steps)

    @property
    def remedy(self) -> str:
        """What to do about an override that a run cannot have."""
        flags = " ".join(f"--set {shlex.quote(override)}" for override in self.all_overrides)
        return f"compile it into the pipeline: cxr submit EXPERIMENT {flags}"


def take_runtime_settings(executor_input: dict[str, Any]) -> RuntimeSettings:
    """Take a run's parameters out of what a node is told: TFX does not know them.

    Args:
      executor_input: KFP's, changed in place.
    """
    values = executor_input.get("inputs", {}).get("parameterValues", {})
    return runtime_settings(
        {
            parameter.name: values.pop(parameter.task_parameter)
            for parameter in parameters.RUNTIME_PARAMETERS
            if parameter.task_parameter in values
        }
    )


def runtime_settings(given: Mapping[str, Any]) -> RuntimeSettings:
    """What a run changes.

    Args:
      given: values by the runtime parameters' names, some or all.
    """
    values = {one.name: given.get(one.name, one.default) for one in parameters.RUNTIME_PARAMETERS}
    lines = str(values[parameters.OVERRIDES.name]).splitlines()
    return RuntimeSettings(
        overrides=tuple(line.strip() for line in lines if line.strip()),
        data_root=str(values[parameters.DATA_ROOT.name]).rstrip("/"),
        data_fingerprint=str(values[parameters.DATA_FINGERPRINT.name]),
        serving_root=str(values[parameters.SERVING_ROOT.name]).rstrip("/"),
        # JSON has no integers.
        train_steps=int(values[parameters.TRAIN_STEPS.name]),
    )
