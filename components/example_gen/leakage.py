"""What the splits share, and should not."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable, Mapping, Sequence

from components.example_gen.split import Surveyed

Pair = tuple[Surveyed, Surveyed]


@dataclasses.dataclass(frozen=True)
class Leakage:
    """What is in more than one split.

    Attributes:
      patients: with images in several.
      exact_duplicates: contents in several.
      near_duplicates: pairs of almost the same film in two.
    """

    patients: int
    exact_duplicates: int
    near_duplicates: int


def leakage(splits: Mapping[str, Sequence[Surveyed]], near: Sequence[Pair]) -> Leakage:
    """Count what the splits share.

    Args:
      splits: the images of each.
      near: pairs of near-duplicates, in a split or not.
    """
    where = {one.file.path: split for split, members in splits.items() for one in members}
    pairs = [[where.get(one.file.path) for one in pair] for pair in near]
    return Leakage(
        patients=_in_several(splits, lambda one: one.file.patient_id),
        exact_duplicates=_in_several(splits, lambda one: one.facts.sha256),
        near_duplicates=sum(None not in pair and pair[0] != pair[1] for pair in pairs),
    )


def _in_several(splits: Mapping[str, Sequence[Surveyed]], key: Callable[[Surveyed], str]) -> int:
    found = collections.Counter(
        value for members in splits.values() for value in {key(one) for one in members}
    )
    return sum(count > 1 for count in found.values())
