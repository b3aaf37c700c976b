"""Which cases a report shows.

Films that stand for a split are drawn at random; these are not. They are chosen for what they
teach. Errors come first, since a reader learns most from them.
"""

from __future__ import annotations

import collections
import dataclasses
import enum
import hashlib
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

# A case is borderline when its odds are within this factor of the operating point's.
BORDERLINE_ODDS = 2.0


class Outcome(enum.StrEnum):
    """What became of a case."""

    FALSE_NEGATIVE = "false negative"
    FALSE_POSITIVE = "false positive"
    TRUE_POSITIVE = "true positive"
    TRUE_NEGATIVE = "true negative"


class Rule(enum.StrEnum):
    """By what a case was chosen; the values are the words of the settings."""

    NAMED = "named"
    FALSE_NEGATIVE = "false_negative"
    FALSE_POSITIVE = "false_positive"
    BORDERLINE = "borderline"
    TRUE_POSITIVE = "true_positive"
    TRUE_NEGATIVE = "true_negative"
    ALL = "all"


_WHY = {
    Rule.NAMED: "named in the settings",
    Rule.FALSE_NEGATIVE: "a missed case, among the furthest below the threshold",
    Rule.FALSE_POSITIVE: "a false alarm, among the furthest above the threshold",
    Rule.BORDERLINE: "borderline: among the closest to the threshold",
    Rule.TRUE_POSITIVE: "a case found, among the furthest above the threshold",
    Rule.TRUE_NEGATIVE: "a case rightly cleared, among the furthest below the threshold",
    Rule.ALL: "every film was asked for",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScoredCase:
    """A film and what the classifier says of it, without its pixels.

    Attributes:
      sha256: hexadecimal digest of the original file.
      filename: as found on disk.
      dataset: the registered name.
      label: 0 negative, 1 positive.
      probability: calibrated, on [0, 1].
      decision: 1 at or above the operating point, else 0.
      features: what divides films into slices, name to value, without what is unknown.
    """

    sha256: str
    filename: str
    dataset: str
    label: int
    probability: float
    decision: int
    features: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def outcome(self) -> Outcome:
        """What became of it."""
        if self.label:
            return Outcome.TRUE_POSITIVE if self.decision else Outcome.FALSE_NEGATIVE
        return Outcome.FALSE_POSITIVE if self.decision else Outcome.TRUE_NEGATIVE


# A feature and one of its values; None is the whole split.
Slice = tuple[str, str] | None


@dataclasses.dataclass(frozen=True)
class SelectedCase:
    """A case, by which rule it was chosen, and of which slice."""

    case: ScoredCase
    rule: Rule
    slice: Slice = None

    @property
    def reason(self) -> str:
        """Why it was chosen, in words."""
        if self.slice is None:
            return _WHY[self.rule]
        feature, value = self.slice
        return f"{_WHY[self.rule]} ({feature.replace('_', ' ')} {value})"


def select_cases(
    scored: Iterable[ScoredCase],
    *,
    rules: Mapping[Rule, int],
    threshold: float,
    seed: int,
    slices: Sequence[str] = (),
    named: Collection[str] = (),
    cases: int | None = None,
) -> list[SelectedCase]:
    """Choose the cases of a report.

    Named ones come first. Then each rule ranks its cases, of the whole split and of every slice:
    the outcomes by distance from the threshold in log odds, furthest first; borderline cases (odds
    within a factor of `BORDERLINE_ODDS` of the threshold's) closest first; equal ranks are drawn by
    the seed. Cases are dealt in rounds: in the first, the best of each rule in the whole split and
    then in each slice, in the second the second best, and so on, so that a limit cuts all rules and
    slices alike. What was dealt already is not dealt again: a slice whose best cases are those of
    the whole split adds none. A file that occurs twice is shown once.

    Args:
      scored: all cases of a split, in any order.
      rules: how many cases each rule takes of the whole split and of each slice.
      threshold: the operating point, a probability.
      seed: of the draw among equals.
      slices: features; each of their values makes a slice, where there are several.
      named: file names that are chosen in any case, beyond the limit.
      cases: how many to choose by rules at most; None for all films, whatever the rules.

    Returns:
      The cases in the order of `Rule`, each group in the order of choice.
    """
    scored = list(scored)
    distinct = _distinct(scored, frozenset(named), seed)
    chosen = {
        case.sha256: SelectedCase(case, Rule.NAMED)
        for case in sorted(distinct, key=lambda case: (case.filename, case.sha256))
        if case.filename in named
    }
    limit = None if cases is None else cases + len(chosen)
    for selected in _deal(distinct, rules, threshold, _slices(distinct, slices)):
        if limit is not None and len(chosen) >= limit:
            break
        chosen.setdefault(selected.case.sha256, selected)
    if cases is None:
        for case in distinct:
            chosen.setdefault(case.sha256, SelectedCase(case, Rule.ALL))
    order = list(Rule)
    return sorted(chosen.values(), key=lambda selected: order.index(selected.rule))


def not_found(scored: Iterable[ScoredCase], named: Iterable[str]) -> list[str]:
    """The named films that are not among the cases, sorted."""
    return sorted(set(named) - {case.filename for case in scored})


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


def _distinct(scored: Sequence[ScoredCase], named: frozenset[str], seed: int) -> list[ScoredCase]:
    """Each file once, in the order of the draw."""
    # Of the names of one file a named one overwrites the others, else the alphabetically first.
    ordered = sorted(scored, key=lambda case: case.filename, reverse=True)
    ordered.sort(key=lambda case: case.filename in named)
    return sorted(
        {case.sha256: case for case in ordered}.values(), key=lambda case: _draw(case, seed)
    )


def _draw(case: ScoredCase, seed: int) -> str:
    return hashlib.sha256(f"{seed}/{case.sha256}".encode()).hexdigest()


def _slices(scored: Sequence[ScoredCase], features: Sequence[str]) -> list[Slice]:
    found: list[Slice] = [None]
    for feature in features:
        values = sorted({case.features[feature] for case in scored if feature in case.features})
        if len(values) > 1:
            found += [(feature, value) for value in values]
    return found


def _lies_in(case: ScoredCase, where: Slice) -> bool:
    return where is None or case.features.get(where[0]) == where[1]


def _deal(
    drawn: Sequence[ScoredCase],
    rules: Mapping[Rule, int],
    threshold: float,
    slices: Sequence[Slice],
) -> Iterator[SelectedCase]:
    """All that the rules choose, round by round; the same case may come up again."""
    ranked = _ranked(drawn, threshold)
    best = {
        (rule, where): [x for x in ranked[rule] if _lies_in(x, where)][: rules.get(rule, 0)]
        for where in slices
        for rule in ranked
    }
    for place in range(max(rules.values(), default=0)):
        for (rule, where), found in best.items():
            if place < len(found):
                yield SelectedCase(found[place], rule, where)


def _ranked(drawn: Sequence[ScoredCase], threshold: float) -> dict[Rule, list[ScoredCase]]:
    """The cases of each rule, in the order of `Rule`, the most telling first."""
    distance = {
        case.sha256: abs(log_odds(case.probability) - log_odds(threshold)) for case in drawn
    }
    furthest = sorted(drawn, key=lambda case: -distance[case.sha256])
    ranked: dict[Rule, list[ScoredCase]] = {}
    for rule in Rule:
        if rule is Rule.BORDERLINE:
            near = [case for case in drawn if distance[case.sha256] <= math.log(BORDERLINE_ODDS)]
            ranked[rule] = sorted(near, key=lambda case: distance[case.sha256])
        elif rule not in (Rule.NAMED, Rule.ALL):
            outcome = Outcome(rule.value.replace("_", " "))
            ranked[rule] = [case for case in furthest if case.outcome is outcome]
    return ranked
