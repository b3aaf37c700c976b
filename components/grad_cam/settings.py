"""Settings of the Grad-CAM report."""

from __future__ import annotations

import difflib
from typing import Annotated, Literal

import pydantic

from components.example_gen.record import PATHOLOGIES
from components.settings import Settings

# What a page can tell of a film beside its label, and what can therefore be kept from it.
Field = Literal[
    "filename",
    "dataset",
    "findings",
    "etiology",
    "age_years",
    "age_group",
    "sex",
    "view_position",
    "follow_up",
    "source_split",
    "boxes",
]
Slice = Literal["dataset", "source_split", "etiology", "sex", "view_position", "age_group"]
# A group of ages tells most of an age.
_IMPLIED: dict[Field, tuple[Field, ...]] = {"age_years": ("age_group",)}


def _known_finding(name: str) -> str:
    if name not in PATHOLOGIES:
        close = difflib.get_close_matches(name, PATHOLOGIES, n=1)
        hint = f"; did you mean {close[0]}?" if close else "."
        raise ValueError(f"{name!r} is no finding{hint} There are {', '.join(PATHOLOGIES)}.")
    return name


class Rules(Settings):
    """How many cases each rule chooses, of the whole split and again of every slice.

    Attributes:
      false_negative: missed cases, the most confident error first.
      false_positive: false alarms, the most confident error first.
      borderline: cases on either side of the operating point, the closest first.
      true_positive: cases found, the most confident first.
      true_negative: cases rightly cleared, the most confident first.
    """

    false_negative: int = pydantic.Field(default=4, ge=0)
    false_positive: int = pydantic.Field(default=4, ge=0)
    borderline: int = pydantic.Field(default=2, ge=0)
    true_positive: int = pydantic.Field(default=2, ge=0)
    true_negative: int = pydantic.Field(default=2, ge=0)


class GradCamSettings(Settings):
    """Which cases are explained, and what is told of them.

    Attributes:
      finding: which is explained, where all findings are labels.
      cases: how many the rules choose at most; `all` shows every film of the split.
      rules: how many of which kind.
      slices: features by whose values the rules are applied again.
      named: file names of films that are shown whatever the rules say.
      redact: what is left out of page and index. Pictures are numbered, and named after nothing.
      seed: of the choice among cases that the rules do not tell apart.
    """

    finding: Annotated[str, pydantic.AfterValidator(_known_finding)] = "Pneumonia"
    cases: Annotated[int, pydantic.Field(ge=1)] | Literal["all"] = 48
    rules: Rules = Rules()
    slices: tuple[Slice, ...] = ("dataset", "sex", "view_position", "etiology", "age_group")
    named: tuple[str, ...] = ()
    redact: tuple[Field, ...] = ()
    seed: int = 1

    @property
    def redacted(self) -> frozenset[str]:
        """What is left out, and what would give it away."""
        return frozenset(self.redact).union(*(_IMPLIED.get(name, ()) for name in self.redact))

    @property
    def shown_slices(self) -> tuple[str, ...]:
        """The slices that may be told."""
        return tuple(name for name in self.slices if name not in self.redacted)
