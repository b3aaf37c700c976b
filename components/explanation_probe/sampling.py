"""Which films are measured."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from typing import TypeVar

import numpy as np

from components.explanation_probe.films import Film
from components.explanation_probe.localisation import BoxedFilm
from components.explanation_probe.settings import ExplanationProbeSettings

# Of the films that are drawn for deletion and insertion, the model is surest of some.
_DRAWN_PER_FILM = 2

_T = TypeVar("_T")


@dataclasses.dataclass(frozen=True)
class Chosen:
    """The films of one finding.

    Attributes:
      finding: which they all show.
      known: those with boxes of it, of all splits: where a location prior comes from.
      boxed: those whose maps are held against their boxes.
      drawn: sha256 of those that deletion, insertion and the sanity check choose from.
      datasets: that have films with the finding in the splits that are looked through.
    """

    finding: str
    known: tuple[BoxedFilm, ...]
    boxed: tuple[BoxedFilm, ...]
    drawn: tuple[str, ...]
    datasets: tuple[str, ...]

    @property
    def sha256(self) -> set[str]:
        """All films whose maps are needed."""
        return {film.sha256 for film in self.boxed} | set(self.drawn)


def choose(films: Sequence[Film], finding: str, settings: ExplanationProbeSettings) -> Chosen:
    """Choose the films of a finding.

    Args:
      films: of all splits.
      finding: as the films' records name it.
      settings: which splits, and how many films.
    """
    rng = np.random.default_rng(settings.seed)
    showing = [film for film in films if finding in film.findings]
    known = [one for film in showing if (one := film.boxed(finding))]
    looked_at = [film for film in showing if film.split in settings.splits]
    boxed: list[BoxedFilm] = []
    for dataset in sorted({film.dataset for film in known}):
        own = [one for one in known if one.dataset == dataset and one.split in settings.splits]
        boxed += _sample(own, settings.max_films, rng)
    most = max(settings.faithfulness_films, settings.sanity_films)
    drawn = _sample(looked_at, _DRAWN_PER_FILM * most, rng)
    return Chosen(
        finding=finding,
        known=tuple(known),
        boxed=tuple(boxed),
        drawn=tuple(film.sha256 for film in drawn),
        datasets=tuple(sorted({film.dataset for film in looked_at})),
    )


def surest(drawn: Collection[str], logits: dict[str, float], most: int) -> list[str]:
    """Of the films that were drawn, those with the largest logits, largest first."""
    return sorted(drawn, key=lambda sha256: -logits[sha256])[:most]


def _sample(items: Sequence[_T], most: int, rng: np.random.Generator) -> list[_T]:
    """Some of the items, in their order."""
    rows = np.sort(rng.permutation(len(items))[:most])
    return [items[row] for row in rows]
