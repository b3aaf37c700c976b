"""What a run can change without a new compilation: the pipeline's runtime parameters.

A parameter reaches a node as one more parameter of its task, which the launcher takes out again
before TFX sees it. Where one is given, the launcher makes the pipeline anew from the experiment,
with the change, and takes the node's settings from there.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

# Begins the names of the tasks' parameters that are no exec properties of TFX's.
PREFIX = "cxr_"


@dataclasses.dataclass(frozen=True)
class RuntimeParameter:
    """One parameter of a compiled pipeline.

    Attributes:
      name: as one gives it to a run.
      type: Kubeflow's name of it.
      default: leaves the experiment as it was compiled.
      node: whose it is; `None` is every node of the pipeline.
      description: for Kubeflow's page of a new run.
    """

    name: str
    type: Literal["STRING", "NUMBER_INTEGER"]
    default: str | int
    node: str | None
    description: str

    @property
    def task_parameter(self) -> str:
        """Its name among a task's parameters."""
        return PREFIX + self.name


OVERRIDES = RuntimeParameter(
    "overrides",
    "STRING",
    "",
    None,
    "Settings of the experiment to change, key=value as of cxr run --set, one on each line. They "
    "are part of every node's cache key: cxr submit --set recomputes only what they touch.",
)
DATA_ROOT = RuntimeParameter(
    "data_root",
    "STRING",
    "",
    "XrayExampleGen",
    "Where the datasets are, as the containers see it; as compiled if empty.",
)
DATA_FINGERPRINT = RuntimeParameter(
    "data_fingerprint",
    "STRING",
    "",
    "XrayExampleGen",
    "Digest of the datasets' files; as compiled if empty.",
)
SERVING_ROOT = RuntimeParameter(
    "serving_root",
    "STRING",
    "",
    "Pusher",
    "Pushed models go below it; as compiled if empty. A run with another pipeline root than the "
    "compiled one must say it.",
)
TRAIN_STEPS = RuntimeParameter(
    "train_steps",
    "NUMBER_INTEGER",
    0,
    "Trainer",
    "Steps of training at most (trainer.max_steps); as the experiment says if 0.",
)
RUNTIME_PARAMETERS = (OVERRIDES, DATA_ROOT, DATA_FINGERPRINT, SERVING_ROOT, TRAIN_STEPS)
