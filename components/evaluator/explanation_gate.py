"""Whether a model's heat maps find what experts marked, better than no look at the film would."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from components.evaluator.judgement import Gate, Verdict
from components.explanation_probe.measures import FEW_PATIENTS, Localisation

NAME = "explanations"


def explanation_gates(
    dataset: str, measured: Sequence[Localisation], floor: float
) -> Iterator[Gate]:
    """Hold the pointing game's lift over its best floor against what is asked for.

    What cannot be shown to hold is refused: a dataset without boxes, or with too few.

    Args:
      dataset: whose films.
      measured: on them, finding by finding; nothing where there are no boxes, or no
        ExplanationProbe.
      floor: what the lower bound of the lift's interval must reach.
    """
    if not measured:
        yield _gate(
            dataset,
            "refused",
            "there are no films with boxes to measure explanations on: leave "
            "evaluator.min_explanation_lift out for it",
            None,
            floor,
        )
    for one in measured:
        pointing = one.pointing
        if pointing is None or one.few:
            why = one.unmeasured or f"where {FEW_PATIENTS} patients at least are asked for"
            yield _gate(
                dataset,
                "refused",
                f"{one.films} films with boxes of {one.finding}, of {one.patients} patients, are "
                f"too few to judge its heat maps by: {why}",
                None,
                floor,
            )
            continue
        passed = pointing.lift.lower >= floor
        best = pointing.floors[pointing.best_floor]
        yield _gate(
            dataset,
            "passed" if passed else "refused",
            f"heat maps of {one.finding} point into boxes on {pointing.model} of {one.films} "
            f"films, against {best} for the best floor ({pointing.best_floor}): the lower bound "
            f"{pointing.lift.lower:+.3f} of the lift {pointing.lift} "
            f"{'meets' if passed else 'is below'} the {floor:+.3f} asked for",
            pointing.lift.lower,
            floor,
        )


def _gate(dataset: str, verdict: Verdict, sentence: str, value: float | None, limit: float) -> Gate:
    return Gate(
        name=NAME,
        dataset=dataset,
        verdict=verdict,
        sentence=f"{dataset}: {sentence}",
        value=value,
        limit=limit,
    )
