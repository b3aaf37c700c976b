"""What is asked of a model before it may be pushed: of each dataset, never of them together.

Which dataset an image is from tells most of its label where two are pooled, so that a pooled
figure says nothing of the lungs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from components.evaluator import performance
from components.evaluator.explanation_gate import explanation_gates
from components.evaluator.judgement import LAST_BLESSED, Baseline, Gate, Verdict
from components.evaluator.results import Gap
from components.evaluator.settings import EvaluatorSettings
from components.explanation_probe.measures import Localisation
from components.scorer.scores import Scores
from components.statistics import bootstrap, repeated, roc
from components.trainer.calibration_error import expected_calibration_error

# Draws of labels for the calibration error that chance alone gives.
_DRAWS = 1000


@dataclasses.dataclass(frozen=True)
class Evidence:
    """What the gates look at, of the test images of one dataset.

    Attributes:
      dataset: its name.
      scores: of the model.
      others: scores of trivial models and of the last blessed model, by name: float [N, K], for
        the same images.
      gaps: differences in AUC between subgroups.
      explanations: whether heat maps lie where experts drew boxes, by finding.
    """

    dataset: str
    scores: Scores
    others: Mapping[str, NDArray[np.float64]]
    gaps: Sequence[Gap] = ()
    explanations: Sequence[Localisation] = ()


def judge(
    evidence: Evidence, settings: EvaluatorSettings
) -> tuple[tuple[Gate, ...], tuple[Baseline, ...]]:
    """Hold a dataset's evidence against what the settings ask.

    Returns:
      The gates, and the other models that this one was compared with.
    """
    if not len(evidence.scores):
        return tuple(_enough(evidence, settings)), ()
    baselines = tuple(_compare(evidence))
    gates = [
        *_enough(evidence, settings),
        *_auc(evidence, settings),
        *_sensitivity(evidence, settings),
        *_calibration(evidence, settings),
        *_shortcuts(evidence, settings, baselines),
        *_last_blessed(evidence, settings, baselines),
        *_subgroups(evidence, settings),
        *_explanations(evidence, settings),
    ]
    return tuple(gates), baselines


def chance_ece(probabilities: NDArray[np.float64], *, seed: int = 0) -> float:
    """The calibration error that probabilities have by chance, though they are right.

    Few images are never exactly as frequent as their probabilities say. Labels are drawn by the
    probabilities themselves (consistency resampling, Bröcker and Smith 2007), and 95 % of the
    errors that come of it are below this one.

    Args:
      probabilities: float [N] on [0, 1].
      seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    draws = rng.random((_DRAWS, len(probabilities))) < probabilities
    errors = [expected_calibration_error(probabilities, labels) for labels in draws]
    return float(np.quantile(errors, 0.95))


def _compare(evidence: Evidence) -> Iterator[Baseline]:
    scores = evidence.scores
    for name, others in evidence.others.items():
        if len(scores.outputs) == 1:
            labels, ours, theirs = scores.labels[:, 0], scores.probabilities[:, 0], others[:, 0]
            if not np.ptp(labels):
                continue
            comparison = roc.compare_aucs(labels, ours, theirs)
            yield Baseline(
                name=name,
                dataset=evidence.dataset,
                auc=roc.auc_interval(labels, theirs),
                lift=comparison.difference,
                p_value=comparison.p_value,
            )
        else:
            yield from _compare_macro(evidence.dataset, name, scores, others)


def _compare_macro(
    dataset: str, name: str, scores: Scores, others: NDArray[np.float64]
) -> Iterator[Baseline]:
    ours = repeated.macro_auc(scores.labels, scores.probabilities)
    theirs = repeated.macro_auc(scores.labels, others)
    try:
        area = bootstrap.repeated_bootstrap(theirs, scores.patients)
        lift = bootstrap.repeated_bootstrap(
            lambda times: ours(times) - theirs(times), scores.patients
        )
    except ValueError:  # no finding has images of both classes, or too few patients have
        return
    yield Baseline(name=name, dataset=dataset, auc=area, lift=lift, p_value=None)


def _enough(evidence: Evidence, settings: EvaluatorSettings) -> Iterator[Gate]:
    positives = int(evidence.scores.labels.any(axis=1).sum())
    fewest = min(positives, len(evidence.scores) - positives)
    passed = fewest >= settings.min_images_per_class
    relation = "enough" if passed else "too few to judge by"
    yield _gate(
        "enough images",
        evidence,
        passed,
        f"{positives} positive and {len(evidence.scores) - positives} negative test images: "
        f"{relation}, where at least {settings.min_images_per_class} of each are asked for",
        value=fewest,
        limit=settings.min_images_per_class,
    )


def _auc(evidence: Evidence, settings: EvaluatorSettings) -> Iterator[Gate]:
    if evidence.dataset not in settings.min_auc:
        return
    floor = settings.min_auc[evidence.dataset]
    scores = evidence.scores
    name = _area_name(evidence)
    several = len(scores.outputs) > 1
    area = performance.macro_auc(scores) if several else performance.auc(scores, 0)
    if area is None:
        yield _undefined("auc", evidence, f"no {name} without images of both classes", floor)
        return
    passed = area.lower >= floor
    yield _gate(
        "auc",
        evidence,
        passed,
        f"the lower bound {area.lower:.3f} of {name} {area} "
        f"{'meets' if passed else 'is below'} the {floor:.3f} asked for",
        value=area.lower,
        limit=floor,
    )


def _sensitivity(evidence: Evidence, settings: EvaluatorSettings) -> Iterator[Gate]:
    if evidence.dataset not in settings.min_sensitivity:
        return
    floor = settings.min_sensitivity[evidence.dataset]
    found = performance.sensitivity(evidence.scores, 0)
    if found is None:
        yield _undefined("sensitivity", evidence, "no sensitivity without positives", floor)
        return
    passed = found.lower >= floor
    yield _gate(
        "sensitivity",
        evidence,
        passed,
        f"the lower bound {found.lower:.3f} of the sensitivity {found} at the operating "
        f"point {'meets' if passed else 'is below'} the {floor:.3f} asked for",
        value=found.lower,
        limit=floor,
    )


def _calibration(evidence: Evidence, settings: EvaluatorSettings) -> Iterator[Gate]:
    if evidence.dataset not in settings.max_ece:
        return
    limit = settings.max_ece[evidence.dataset]
    scores = evidence.scores
    columns = range(len(scores.outputs))
    error = float(
        np.mean(
            [
                expected_calibration_error(scores.probabilities[:, k], scores.labels[:, k])
                for k in columns
            ]
        )
    )
    chance = float(np.mean([chance_ece(scores.probabilities[:, k]) for k in columns]))
    passed = error <= max(limit, chance)
    if error <= limit:
        said = f"is within the {limit:.3f} asked for"
    elif passed:
        said = (
            f"is above the {limit:.3f} asked for, but within the {chance:.3f} that chance gives "
            f"right probabilities on {len(scores)} images"
        )
    else:
        said = (
            f"is above the {limit:.3f} asked for, and above the {chance:.3f} that chance gives "
            f"right probabilities on {len(scores)} images"
        )
    yield _gate(
        "calibration",
        evidence,
        passed,
        f"the expected calibration error {error:.3f} {said}",
        value=error,
        limit=limit,
    )


def _shortcuts(
    evidence: Evidence, settings: EvaluatorSettings, baselines: Sequence[Baseline]
) -> Iterator[Gate]:
    if evidence.dataset not in settings.min_lift:
        return
    margin = settings.min_lift[evidence.dataset]
    trivial = [one for one in baselines if one.name != LAST_BLESSED]
    if not trivial:
        yield _undefined("shortcut", evidence, "no trivial model to compare with", margin)
        return
    best = max(trivial, key=lambda one: one.auc.estimate)
    passed = best.lift.lower >= margin
    model = best.auc.estimate + best.lift.estimate
    yield _gate(
        "shortcut",
        evidence,
        passed,
        f"{_area_name(evidence)} {model:.3f} against {best.auc.estimate:.3f} of the best trivial "
        f"model ({best.name}): the lower bound {best.lift.lower:+.3f} of the lift {best.lift} "
        f"{'meets' if passed else 'is below'} the {margin:+.3f} asked for",
        value=best.lift.lower,
        limit=margin,
    )


def _last_blessed(
    evidence: Evidence, settings: EvaluatorSettings, baselines: Sequence[Baseline]
) -> Iterator[Gate]:
    last = next((one for one in baselines if one.name == LAST_BLESSED), None)
    if last is None:
        return
    margin = settings.max_loss
    # Chance alone makes one of two equal models the better one: it takes both to refuse.
    worse = last.lift.estimate < -margin and last.lift.upper < 0
    relation = f"lower by more than {margin:.3f}, and not by chance" if worse else "not worse"
    yield _gate(
        "last blessed",
        evidence,
        not worse,
        f"{_area_name(evidence)} {last.auc.estimate + last.lift.estimate:.3f} against "
        f"{last.auc.estimate:.3f} of the last blessed model on the same images, a "
        f"difference of {last.lift}: {relation}",
        value=last.lift.estimate,
        limit=-margin,
    )


def _subgroups(evidence: Evidence, settings: EvaluatorSettings) -> Iterator[Gate]:
    for feature, limit in settings.max_gap.get(evidence.dataset, {}).items():
        if not any(gap.feature == feature for gap in evidence.gaps):
            yield _not_judged(evidence, f"no two subgroups of {feature} among the images", limit)
    for gap in evidence.gaps:
        limit = settings.max_gap[evidence.dataset][gap.feature]
        one, other = (f"{gap.feature} {value}" for value in gap.values)
        if gap.gap is None:
            reason = f"one of them has fewer than {settings.min_gap_images} images of a class"
            yield _not_judged(evidence, f"{one} and {other} cannot be compared: {reason}", limit)
            continue
        first, second = (f"{area:.3f}" if area is not None else "undefined" for area in gap.aucs)
        yield _gate(
            "subgroups",
            evidence,
            not gap.refused,
            f"AUC {first} for {one} and {second} for {other}: a gap of {gap.gap:.3f}, "
            f"{'above' if gap.refused else 'within'} the {limit:.3f} allowed",
            value=gap.gap,
            limit=limit,
        )


def _explanations(evidence: Evidence, settings: EvaluatorSettings) -> Iterator[Gate]:
    floor = settings.min_explanation_lift.get(evidence.dataset)
    if floor is not None:
        yield from explanation_gates(evidence.dataset, evidence.explanations, floor)


def _not_judged(evidence: Evidence, sentence: str, limit: float) -> Gate:
    return Gate(
        name="subgroups",
        dataset=evidence.dataset,
        verdict="not judged",
        sentence=f"{evidence.dataset}: {sentence}",
        value=None,
        limit=limit,
    )


def _area_name(evidence: Evidence) -> str:
    return "macro AUC" if len(evidence.scores.outputs) > 1 else "AUC"


def _gate(
    name: str, evidence: Evidence, passed: bool, sentence: str, *, value: float, limit: float
) -> Gate:
    verdict: Verdict = "passed" if passed else "refused"
    return Gate(
        name=name,
        dataset=evidence.dataset,
        verdict=verdict,
        sentence=f"{evidence.dataset}: {sentence}",
        value=value,
        limit=limit,
    )


def _undefined(name: str, evidence: Evidence, sentence: str, limit: float) -> Gate:
    """What cannot be shown to hold is refused."""
    return Gate(
        name=name,
        dataset=evidence.dataset,
        verdict="refused",
        sentence=f"{evidence.dataset}: {sentence}",
        value=None,
        limit=limit,
    )
