"""Settings of the measured explanations."""

from __future__ import annotations

from typing import Literal

import pydantic

from components.example_gen import record
from components.settings import Settings

SplitName = Literal["train", "val", "test"]


def _known(finding: str) -> str:
    if finding not in record.PATHOLOGIES:
        raise ValueError(f"{finding!r} is none of {', '.join(record.PATHOLOGIES)}")
    return finding


class ExplanationProbeSettings(Settings):
    """On which films explanations are measured, and how thoroughly.

    Attributes:
      enabled: without it nothing tells whether a heat map shows what the model looks at.
      splits: whose films are measured. No model is ever trained on boxes, so those of training
        films may be measured, too, where there are few; the report then says so.
      findings: whose boxes are looked at; of a model of one finding it is pneumonia.
      tolerance: of the pointing game, as a fraction of the film's side: how far beside a box still
        hits it.
      max_films: films with boxes that are measured, of each dataset and finding.
      faithfulness_films: films that are taken apart for deletion and insertion; 0 for none. Each
        costs five passes for each step but the last.
      steps: in which a film is taken apart.
      sanity_films: films whose maps are compared with those of randomised networks; 0 for none.
      seed: of the samples, the random order and the randomised weights.
    """

    enabled: bool = True
    splits: tuple[SplitName, ...] = pydantic.Field(default=("test",), min_length=1)
    findings: tuple[str, ...] = pydantic.Field(default=("Pneumonia",), min_length=1)
    tolerance: float = pydantic.Field(default=0.03, ge=0, lt=0.5)
    max_films: int = pydantic.Field(default=500, ge=2)
    faithfulness_films: int = pydantic.Field(default=32, ge=0)
    steps: int = pydantic.Field(default=5, ge=2)
    sanity_films: int = pydantic.Field(default=16, ge=0)
    seed: int = pydantic.Field(default=1, ge=0)

    @pydantic.field_validator("findings")
    @classmethod
    def _are_known(cls, findings: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_known(one) for one in findings)
