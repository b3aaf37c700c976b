"""Which cases a report shows.

A handful of films cannot stand for a split, and should not pretend to: they are chosen for what
they teach. Errors come first, since a reader learns most from them.
"""

from __future__ import annotations

import collections
import dataclasses
import enum
import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence

# A case is borderline when its odds are within this factor of the operating point's.
BORDERLINE_ODDS = 2.0


class Outcome(enum.StrEnum):
    """What became of a case."""

    FALSE_NEGATIVE = "false negative"
    FALSE_POSITIVE = "false positive"
    TRUE_POSITIVE = "true positive"
    TRUE_NEGATIVE = "true negative"


class Reason(enum.StrEnum):
    """Why a case was chosen."""

    MISSED = "a missed case, among the furthest below the threshold in its dataset"
    FALSE_ALARM = "a false alarm, among the furthest above the threshold in its dataset"
    BORDERLINE = "borderline: among the closest to the threshold in its dataset"
    FOUND = "a case found, among the furthest above the threshold in its dataset"
    CLEARED = "a case rightly cleared, among the furthest below the threshold in its dataset"


_REASON_OF_OUTCOME = {
    Outcome.FALSE_NEGATIVE: Reason.MISSED,
    Outcome.FALSE_POSITIVE: Reason.FALSE_ALARM,
    Outcome.TRUE_POSITIVE: Reason.FOUND,
    Outcome.TRUE_NEGATIVE: Reason.CLEARED,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScoredCase:
    """A film and what the classifier says of it, without its pixels.

    Attributes:
      sha256: hexadecimal digest of the original file.
      filename: as found on disk.
      dataset: the registered name.
      label: 0 normal, 1 pneumonia.
      probability: calibrated, on [0, 1].
      decision: 1 at or above the operating point, else 0.
      metadata: what else is known, name to value, for display.
    """

    sha256: str
    filename: str
    dataset: str
    label: int
    probability: float
    decision: int
    metadata: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def outcome(self) -> Outcome:
        """What became of it."""
        if self.label:
            return Outcome.TRUE_POSITIVE if self.decision else Outcome.FALSE_NEGATIVE
        return Outcome.FALSE_POSITIVE if self.decision else Outcome.TRUE_NEGATIVE


@dataclasses.dataclass(frozen=True)
class SelectedCase:
    """A case and why it was chosen."""

    case: ScoredCase
    reason: Reason


def select_cases(
    scored: Iterable[ScoredCase], *, cases: int, threshold: float, seed: int
) -> list[SelectedCase]:
    """Choose the cases of a report.

    There are five groups: the four outcomes, each ranked by distance from the threshold in log
    odds, furthest first, and the borderline cases (odds within a factor of `BORDERLINE_ODDS` of
    the threshold's), closest first. They are dealt in rounds: each round takes one case from
    each group that has any left, in the order of `Reason`. Within a group the next case comes
    from the dataset that the group has used least, then the one used least overall. Equal ranks
    are drawn by the seed. A file that occurs twice is shown once.

    Args:
      scored: all cases of a split, in any order.
      cases: how many to choose, at least 1.
      threshold: the operating point, a probability.
      seed: of the draw among equals.

    Returns:
      Exactly min(cases, different files) cases, grouped by reason in the order of `Reason`, each
      group in the order of choice.
    """
    # Of the names of one file, the alphabetically first overwrites the others.
    pool = {case.sha256: case for case in sorted(scored, key=lambda c: c.filename, reverse=True)}
    groups = _groups(pool.values(), threshold, seed)
    chosen: list[SelectedCase] = []
    while pool and len(chosen) < cases:
        for reason in Reason:
            groups[reason] = [case for case in groups[reason] if case.sha256 in pool]
            if groups[reason] and len(chosen) < cases:
                case = _next(groups[reason], reason, chosen)
                chosen.append(SelectedCase(case, reason))
                del pool[case.sha256]
    order = list(Reason)
    return sorted(chosen, key=lambda selected: order.index(selected.reason))


def count_outcomes(scored: Iterable[ScoredCase]) -> dict[str, dict[Outcome, int]]:
    """How many cases came to which outcome, by dataset in alphabetical order."""
    counts: dict[str, collections.Counter[Outcome]] = collections.defaultdict(collections.Counter)
    for case in scored:
        counts[case.dataset][case.outcome] += 1
    return {name: {x: counts[name][x] for x in Outcome} for name in sorted(counts)}


def log_odds(probability: float) -> float:
    """The logit of a probability, which may be 0 or 1 after rounding."""
    clipped = min(max(probability, 1e-12), 1 - 1e-12)
    return math.log(clipped / (1 - clipped))


def _groups(
    scored: Iterable[ScoredCase], threshold: float, seed: int
) -> dict[Reason, list[ScoredCase]]:
    distances = [(abs(log_odds(x.probability) - log_odds(threshold)), x) for x in scored]
    distances.sort(key=lambda pair: (pair[0], _draw(pair[1], seed)))
    groups: dict[Reason, list[ScoredCase]] = {reason: [] for reason in Reason}
    for distance, case in distances:
        if distance <= math.log(BORDERLINE_ODDS):
            groups[Reason.BORDERLINE].append(case)
    for _, case in reversed(distances):
        groups[_REASON_OF_OUTCOME[case.outcome]].append(case)
    return groups


def _draw(case: ScoredCase, seed: int) -> str:
    return hashlib.sha256(f"{seed}/{case.sha256}".encode()).hexdigest()


def _next(
    group: Sequence[ScoredCase], reason: Reason, chosen: Sequence[SelectedCase]
) -> ScoredCase:
    overall = collections.Counter(x.case.dataset for x in chosen)
    within = collections.Counter(x.case.dataset for x in chosen if x.reason is reason)
    return min(group, key=lambda x: (within[x.dataset], overall[x.dataset]))
