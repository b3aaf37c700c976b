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
      intended_use: what a model of it is for, and what it is not.
    """

    name: TaskName
    feature: str
    outputs: tuple[str, ...]
    class_names: tuple[str, ...]
    intended_use: str


def _research(what: str) -> str:
    return (
        f"Research and education: {what} on frontal chest X-rays like those it was trained on. Not "
        "a diagnostic device; not validated for any clinical use."
    )


TASKS: dict[record.Labels, Task] = {
    "pneumonia": Task(
        BINARY,
        record.LABEL,
        record.CLASS_NAMES[1:],
        record.CLASS_NAMES,
        _research("telling pneumonia from normal"),
    ),
    "findings": Task(
        MULTILABEL,
        record.FINDING_LABELS,
        record.PATHOLOGIES,
        record.PATHOLOGIES,
        _research(f"telling which of {len(record.PATHOLOGIES)} findings are present"),
    ),
}
