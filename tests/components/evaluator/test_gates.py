"""What refuses a model, and what it says."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from components.evaluator.gates import Evidence, chance_ece, judge
from components.evaluator.judgement import Gate
from components.evaluator.results import Gap
from components.evaluator.settings import EvaluatorSettings
from components.explanation_probe.comparison import Comparison
from components.explanation_probe.measures import Localisation
from components.scorer.scores import Scores
from components.statistics.interval import Interval
from components.trainer.calibration_error import expected_calibration_error
from tests.components.evaluator.made_scores import made_scores

ASKED = EvaluatorSettings(
    min_auc={"nih": 0.9},
    min_sensitivity={"nih": 0.8},
    max_ece={"nih": 0.05},
    min_lift={"nih": 0.0},
    max_gap={"nih": {"sex": 0.1}},
)


def evidence_of(scores: Scores, **others: np.ndarray) -> Evidence:
    # A trivial model of the same images: it knows a little of their labels.
    noise = np.random.default_rng(5).normal(size=scores.labels.shape)
    known = {"thumbnail": 0.5 * scores.labels + noise}
    known |= {name.replace("_", " "): value for name, value in others.items()}
    return Evidence("nih", scores, known)


def refused(evidence: Evidence, settings: EvaluatorSettings = ASKED) -> dict[str, Gate]:
    gates, _ = judge(evidence, settings)
    return {gate.name: gate for gate in gates if gate.verdict == "refused"}


def test_a_good_model_passes_and_every_gate_says_both_numbers() -> None:
    scores = made_scores(600)
    gap = Gap(
        dataset="nih", feature="sex", values=("F", "M"), aucs=(0.98, 0.97), gap=0.01, refused=False
    )
    evidence = dataclasses.replace(
        evidence_of(scores, last_blessed=scores.probabilities), gaps=[gap]
    )
    gates, baselines = judge(evidence, ASKED)

    assert {gate.verdict for gate in gates} == {"passed"}
    assert [gate.name for gate in gates] == [
        "enough images", "auc", "sensitivity", "calibration", "shortcut", "last blessed",
        "subgroups",
    ]  # fmt: skip
    for gate in gates:
        assert gate.sentence.startswith("nih: ")
        numbers = [word.strip(",:()") for word in gate.sentence.split()]
        assert sum(any(char.isdigit() for char in word) for word in numbers) >= 2, gate.sentence
    assert {one.name for one in baselines} == {"thumbnail", "last blessed"}
    (last,) = [one for one in baselines if one.name == "last blessed"]
    assert (last.lift.estimate, last.p_value) == (0.0, 1.0)


def test_it_is_the_lower_bound_of_the_auc_that_must_meet_the_floor() -> None:
    scores = made_scores(80, separation=2.0, seed=1)
    (gate,) = [gate for gate in judge(evidence_of(scores), ASKED)[0] if gate.name == "auc"]
    just_above = float(gate.sentence.split("of AUC ")[1].split()[0]) - 0.001

    settings = ASKED.model_copy(update={"min_auc": {"nih": just_above}})
    assert "auc" in refused(evidence_of(scores), settings)
    assert gate.value is not None
    below = ASKED.model_copy(update={"min_auc": {"nih": gate.value - 0.001}})
    assert "auc" not in refused(evidence_of(scores), below)


def test_label_noise_is_refused_by_the_auc() -> None:
    scores = made_scores(600)
    flipped = np.random.default_rng(0).random(600) < 0.35
    noisy = dataclasses.replace(scores, labels=np.where(flipped[:, None], 1, 0) ^ scores.labels)

    assert "auc" in refused(evidence_of(noisy))


def test_too_few_images_are_refused_whatever_the_figures() -> None:
    scores = made_scores(60, separation=9.0, share=0.2)
    found = refused(evidence_of(scores), EvaluatorSettings(min_images_per_class=20))

    assert set(found) == {"enough images"}
    positives = int(scores.labels.sum())
    assert f"{positives} positive and {60 - positives} negative" in found["enough images"].sentence


def test_a_dataset_without_test_images_is_refused() -> None:
    scores = made_scores(10)
    nothing = evidence_of(scores.where(np.zeros(10, bool)))
    gates, baselines = judge(nothing, ASKED)

    assert [(gate.name, gate.verdict) for gate in gates] == [("enough images", "refused")]
    assert baselines == ()


def test_a_high_threshold_is_refused_by_the_sensitivity() -> None:
    assert "sensitivity" in refused(evidence_of(made_scores(600, threshold=0.99)))
    assert "sensitivity" not in refused(evidence_of(made_scores(600, threshold=0.3)))


def test_distorted_probabilities_are_refused_by_the_calibration_alone() -> None:
    wrong = made_scores(600, distortion=4.0, separation=2.5)

    assert set(refused(evidence_of(wrong))) == {"calibration"}


def test_few_images_are_not_refused_for_what_chance_does_to_their_calibration() -> None:
    scores = made_scores(60, separation=1.0, seed=4)
    settings = EvaluatorSettings(max_ece={"nih": 0.01}, min_images_per_class=1)

    assert "calibration" not in refused(evidence_of(scores), settings)
    wrong = made_scores(60, separation=1.0, distortion=-4.0, seed=4)
    assert "calibration" in refused(evidence_of(wrong), settings)


def test_right_probabilities_rarely_exceed_what_chance_gives() -> None:
    rng = np.random.default_rng(0)
    probabilities = rng.uniform(size=100)
    limit = chance_ece(probabilities, seed=1)
    errors = [
        expected_calibration_error(probabilities, rng.random(100) < probabilities)
        for _ in range(500)
    ]
    assert 0.02 < np.mean(np.array(errors) > limit) < 0.09


def test_a_model_that_a_thumbnail_replaces_is_refused_by_the_shortcut_gate() -> None:
    scores = made_scores(600)
    thumbnail = scores.probabilities + np.random.default_rng(0).normal(scale=1e-3, size=(600, 1))
    found = refused(evidence_of(scores, thumbnail=thumbnail))

    assert set(found) == {"shortcut"}
    assert "best trivial model (thumbnail)" in found["shortcut"].sentence


def test_without_a_trivial_model_a_lift_cannot_be_shown() -> None:
    evidence = dataclasses.replace(evidence_of(made_scores(600)), others={})

    assert set(refused(evidence)) == {"shortcut"}


def test_worse_than_the_last_blessed_model() -> None:
    scores = made_scores(600, separation=2.2)
    last = scores.probabilities + 0.5 * scores.labels
    found = refused(evidence_of(scores, last_blessed=last))

    assert set(found) == {"last blessed"}
    assert "not by chance" in found["last blessed"].sentence
    assert not refused(evidence_of(scores, last_blessed=scores.probabilities - 0.01))


def test_a_difference_within_the_margin_or_by_chance_is_none() -> None:
    scores = made_scores(600, separation=2.2)
    last = scores.probabilities + 0.5 * scores.labels
    lenient = ASKED.model_copy(update={"max_loss": 0.2})
    assert not refused(evidence_of(scores, last_blessed=last), lenient)

    few = made_scores(40, separation=1.5, seed=2)
    noise = np.random.default_rng(3).normal(scale=0.2, size=(40, 1))
    settings = EvaluatorSettings(min_images_per_class=1)
    assert not refused(evidence_of(few, last_blessed=few.probabilities + noise), settings)


def test_a_gap_between_subgroups() -> None:
    evidence = evidence_of(made_scores(600))
    gap = Gap(
        dataset="nih", feature="sex", values=("F", "M"), aucs=(0.7, 0.95), gap=0.25, refused=True
    )
    found = refused(dataclasses.replace(evidence, gaps=[gap]))

    assert found["subgroups"].sentence == (
        "nih: AUC 0.700 for sex F and 0.950 for sex M: a gap of 0.250, above the 0.100 allowed"
    )


def test_subgroups_that_cannot_be_compared_are_not_judged() -> None:
    gap = Gap(
        dataset="nih", feature="sex", values=("F", "M"), aucs=(None, 0.9), gap=None, refused=False
    )
    gates, _ = judge(dataclasses.replace(evidence_of(made_scores(600)), gaps=[gap]), ASKED)
    (subgroups,) = [gate for gate in gates if gate.name == "subgroups"]

    assert subgroups.verdict == "not judged"
    assert "fewer than" in subgroups.sentence


def test_a_feature_that_divides_nothing_is_not_judged() -> None:
    gates, _ = judge(evidence_of(made_scores(600)), ASKED)
    (subgroups,) = [gate for gate in gates if gate.name == "subgroups"]

    assert (subgroups.verdict, subgroups.value) == ("not judged", None)
    assert "no two subgroups of sex" in subgroups.sentence


def test_nothing_is_asked_of_a_dataset_without_limits() -> None:
    gates, _ = judge(evidence_of(made_scores(600, separation=0.1)), EvaluatorSettings())

    assert [gate.name for gate in gates] == ["enough images"]


@pytest.mark.parametrize("separation", [0.0, 2.0])
def test_findings_are_judged_by_their_macro_auc(separation: float) -> None:
    scores = made_scores(300, outputs=("Edema", "Mass"), separation=separation)
    noise = np.random.default_rng(0).normal(size=scores.labels.shape)
    evidence = Evidence("nih", scores, {"thumbnail": noise})
    settings = EvaluatorSettings(min_auc={"nih": 0.8}, min_lift={"nih": 0.0}, max_ece={"nih": 0.1})
    found = refused(evidence, settings)

    assert set(found) == (set() if separation else {"auc", "shortcut"})
    if not separation:
        assert "macro AUC" in found["auc"].sentence


def localisation(films: int, lift: float = 0.3, half: float = 0.1, **changes: Any) -> Localisation:
    """A pointing game on some films."""

    def interval(estimate: float) -> Interval:
        return Interval(
            estimate=estimate, lower=estimate - half, upper=estimate + half, method="made"
        )

    pointing = Comparison(
        measure="pointing game",
        model=interval(0.3 + lift),
        floors={"random": interval(0.1), "prior": interval(0.3)},
        best_floor="prior",
        lift=interval(lift),
    )
    values: dict[str, Any] = {
        "dataset": "nih",
        "finding": "pneumonia",
        "splits": {"test": films},
        "films": films,
        "patients": films,
        "prior_patients": films,
        "measures": (pointing,),
    }
    return Localisation(**(values | changes))


def explanations_gate(floor: float, *measured: Localisation) -> Gate:
    settings = EvaluatorSettings(min_explanation_lift={"nih": floor})
    evidence = dataclasses.replace(evidence_of(made_scores(200)), explanations=measured)
    (gate,) = [one for one in judge(evidence, settings)[0] if one.name == "explanations"]
    return gate


def test_it_is_the_lower_bound_of_the_explanation_lift_that_must_meet_the_floor() -> None:
    gate = explanations_gate(0.1999, localisation(40))
    assert (gate.verdict, gate.limit) == ("passed", 0.1999)
    assert gate.value == pytest.approx(0.2)
    assert "best floor (prior)" in gate.sentence
    assert "+0.200" in gate.sentence
    assert explanations_gate(0.2001, localisation(40)).verdict == "refused"


def test_heat_maps_that_cannot_be_judged_are_refused_and_it_is_said_why() -> None:
    without_boxes = explanations_gate(0.0)
    assert (without_boxes.verdict, without_boxes.value) == ("refused", None)
    assert "leave evaluator.min_explanation_lift out" in without_boxes.sentence
    few = explanations_gate(0.0, localisation(4))
    assert (few.verdict, few.value) == ("refused", None)
    assert "4 films with boxes of pneumonia, of 4 patients, are too few" in few.sentence
    unmeasured = localisation(0, measures=(), unmeasured="no film in test has boxes")
    assert "no film in test has boxes" in explanations_gate(0.0, unmeasured).sentence


def test_heat_maps_of_each_finding_are_judged_where_it_is_asked_for() -> None:
    settings = EvaluatorSettings(min_explanation_lift={"nih": 0.0})
    worse = localisation(40, lift=-0.2, finding="Mass")
    evidence = dataclasses.replace(
        evidence_of(made_scores(200)), explanations=(localisation(40), worse)
    )
    verdicts = [one.verdict for one in judge(evidence, settings)[0] if one.name == "explanations"]
    assert verdicts == ["passed", "refused"]
    asked_nothing = judge(evidence, EvaluatorSettings())[0]
    assert "explanations" not in {one.name for one in asked_nothing}
