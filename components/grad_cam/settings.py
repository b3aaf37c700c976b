"""Settings of the Grad-CAM report."""

from __future__ import annotations

import difflib
from typing import Annotated

import pydantic

from components.example_gen.record import PATHOLOGIES
from components.settings import Settings


def _known_finding(name: str) -> str:
    if name not in PATHOLOGIES:
        close = difflib.get_close_matches(name, PATHOLOGIES, n=1)
        hint = f"; did you mean {close[0]}?" if close else "."
        raise ValueError(f"{name!r} is no finding{hint} There are {', '.join(PATHOLOGIES)}.")
    return name


class GradCamSettings(Settings):
    """Which cases are explained, and how.

    Attributes:
      finding: which is explained, where all findings are labels.
      cases: how many, at most.
      opacity: of the heat map at its hottest, on [0, 1].
      seed: of the choice among cases that the rules do not tell apart.
    """

    finding: Annotated[str, pydantic.AfterValidator(_known_finding)] = "Pneumonia"
    cases: int = pydantic.Field(default=12, ge=1)
    opacity: float = pydantic.Field(default=0.6, gt=0, le=1)
    seed: int = 1
