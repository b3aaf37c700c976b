"""What a reader must know before the figures are believed."""

from __future__ import annotations

from collections.abc import Iterator

from components.evaluator.judgement import LAST_BLESSED
from components.report.figures import Figures, finding_name
from components.trainer.weights import NO_WEIGHTS

# With fewer, an AUC of 0.75 is uncertain by a tenth or more (Hanley and McNeil 1982).
_FEW_POSITIVES = 30


def caveats(figures: Figures) -> list[str]:
    """Sentences, the gravest first."""
    return [
        *_weights(figures),
        *_shortcuts(figures),
        *_few(figures),
        *_pooled(figures),
        *_fallbacks(figures),
        *_data(figures),
    ]


def _weights(figures: Figures) -> Iterator[str]:
    if figures.contract["weights"] == NO_WEIGHTS:
        learnt = figures.contract["training"]["trainable"]
        what = "its head" if learnt == "head" else f"its head and {learnt.replace('_', ' ')}"
        yield f"The backbone had random weights: only {what} has learnt."


def _shortcuts(figures: Figures) -> Iterator[str]:
    trivial = [one for one in figures.judgement.baselines if one.name != LAST_BLESSED]
    for dataset in dict.fromkeys(one.dataset for one in trivial):
        own = [one for one in trivial if one.dataset == dataset]
        best = max(own, key=lambda one: one.auc.estimate)
        if best.lift.lower <= 0:
            yield (
                f"On {dataset} the model is not shown to be better than a trivial one: "
                f"“{best.name}” reaches an AUC of {best.auc}, and the lift over it is "
                f"{best.lift.estimate:+.3f} ({best.lift.lower:+.3f} to {best.lift.upper:+.3f})."
            )


def _few(figures: Figures) -> Iterator[str]:
    for one in figures.headlines():
        few = [each for each in one.findings if each.positives < _FEW_POSITIVES]
        if not few:
            continue
        named = ", ".join(f"{finding_name(each.finding)} ({each.positives})" for each in few)
        yield (
            f"{one.slice['dataset']} has fewer than {_FEW_POSITIVES} positive test images of "
            f"{named}: such figures are too uncertain to support a claim."
        )


def _pooled(figures: Figures) -> Iterator[str]:
    if figures.pooled():
        names = " and ".join(figures.datasets)
        yield (
            f"Figures that pool {names} reward telling the datasets apart. They are marked, and "
            "no gate looks at them."
        )


def _fallbacks(figures: Figures) -> Iterator[str]:
    outputs = figures.contract["outputs"]
    fixed = [one for one in outputs if not one["operating_point"].get("as_asked", True)]
    simpler = [one for one in outputs if one["calibration"].get("reason")]
    if len(outputs) == 1:
        for one in fixed:
            name = finding_name(one["name"]).capitalize()
            yield f"{name} is decided at {one['operating_point']['chosen_by']}."
        for one in simpler:
            name, how = finding_name(one["name"]).capitalize(), one["calibration"]
            yield f"{name} is calibrated by {how['method']}: {how['reason']}."
        return
    for what, found in (
        ("decided at the fixed threshold", fixed),
        ("calibrated by a simpler method than asked for", simpler),
    ):
        if found:
            names = ", ".join(finding_name(one["name"]) for one in found)
            yield f"Since validation has too few images of them, these are {what}: {names}."


def _data(figures: Figures) -> Iterator[str]:
    yield from (f"The data has a known problem: {one}" for one in figures.problems)
