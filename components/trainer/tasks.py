"""What there is to learn: pneumonia alone, or each of the findings."""

from __future__ import annotations

import dataclasses
from typing import Literal

from components.example_gen import record

TaskName = Literal["binary", "multilabel"]
BINARY: Literal["binary"] = "binary"
MULTILABEL: Literal["multilabel"] = "multilabel"


@dataclasses.dataclass(frozen=True)
class Task:
    """What is learnt.

    Attributes:
      name: `binary` or `multilabel`.
      feature: the Example's, that holds the labels.
      outputs: the names of the findings, one for each logit.
      class_names: by label for a single finding; the findings themselves for several.
    """

    name: TaskName
    feature: str
    outputs: tuple[str, ...]
    class_names: tuple[str, ...]


TASKS: dict[record.Labels, Task] = {
    "pneumonia": Task(BINARY, record.LABEL, record.CLASS_NAMES[1:], record.CLASS_NAMES),
    "findings": Task(MULTILABEL, record.FINDING_LABELS, record.PATHOLOGIES, record.PATHOLOGIES),
}
