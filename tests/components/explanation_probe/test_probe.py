"""The verdict of the sanity check."""

from __future__ import annotations

import numpy as np

from components.explanation_probe import probe
from components.explanation_probe.measures import Sanity

PATIENTS = [str(number) for number in range(12)]
OWN = list(np.random.default_rng(0).random((12, 5, 5)))
OTHERS = list(np.random.default_rng(1).random((12, 5, 5)))
COLD = [np.zeros((5, 5))] * 12


def check(**stages: list[np.ndarray]) -> Sanity:
    named = {name.replace("_", " "): maps for name, maps in stages.items()}
    return probe.measure_sanity(OWN, named, PATIENTS, "pneumonia")


def test_maps_that_stay_as_they_were_fail() -> None:
    found = check(head=OTHERS, all_layers=OWN)
    assert not found.passed
    assert "With all layers randomised" in found.sentence
    assert "not shown to depend" in found.sentence


def test_maps_that_change_pass() -> None:
    found = check(head=OTHERS[::-1], all_layers=OTHERS)
    assert found.passed
    assert "With all layers randomised" in found.sentence
    assert [stage.without_heat for stage in found.stages] == [0, 0]


def test_it_takes_a_single_stage_to_fail() -> None:
    found = check(head=OWN, all_layers=OTHERS)
    assert not found.passed
    assert "With head randomised" in found.sentence


def test_maps_without_heat_prove_nothing() -> None:
    found = check(head=OWN, all_layers=COLD)
    assert found.stages[-1].without_heat == 12
    # The head alone decides.
    assert not found.passed
    assert "With head randomised" in found.sentence
    assert "of more layers, maps have no heat" in found.sentence
    nothing = check(head=COLD, all_layers=COLD)
    assert not nothing.passed
    assert "nothing can be compared" in nothing.sentence
