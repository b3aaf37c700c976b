"""Each output by itself, and what the user is told."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from components.trainer.outputs import fit_outputs
from components.trainer.settings import TrainerSettings

NAMES = ("Effusion", "Hernia")


def simulate(positives_of_the_second: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (300, 2)).astype(np.float32)
    labels = (rng.random((300, 2)) < expit(logits)).astype(np.int64)
    labels[:, 1] = np.argsort(np.argsort(logits[:, 1])) >= 300 - positives_of_the_second
    return logits, labels


def test_each_output_is_fitted_by_itself() -> None:
    logits, labels = simulate(positives_of_the_second=30)
    shift = np.array([1.0, -0.5])

    both = fit_outputs(NAMES, logits, labels, TrainerSettings(), prior_shift=shift)
    alone = fit_outputs(
        NAMES[1:], logits[:, 1:], labels[:, 1:], TrainerSettings(), prior_shift=shift[1:]
    )

    assert [output.name for output in both] == list(NAMES)
    assert [output.calibration.prior_shift for output in both] == [1.0, -0.5]
    assert both[1] == alone[0]
    assert both[0].operating_point.sensitivity == pytest.approx(0.9, abs=0.01)


def test_the_operating_point_is_one_of_calibrated_probabilities() -> None:
    logits, labels = simulate(positives_of_the_second=30)

    (output, _) = fit_outputs(
        NAMES, logits, labels, TrainerSettings(), prior_shift=np.array([3.0, 0.0])
    )

    decided = output.calibration(logits[:, 0]) >= output.operating_point.threshold
    assert decided[labels[:, 0] == 1].mean() == output.operating_point.sensitivity


def test_the_user_is_told_of_an_output_with_too_few_positives(
    caplog: pytest.LogCaptureFixture,
) -> None:
    logits, labels = simulate(positives_of_the_second=3)

    common, rare = fit_outputs(NAMES, logits, labels, TrainerSettings(), prior_shift=np.zeros(2))

    assert "Effusion" not in caplog.text
    told = "since validation has too few images; in brackets those with the finding: Hernia (3)"
    for what in ("calibrated by a simpler method than asked for", "decided at the fixed threshold"):
        assert f"1 of 2 findings are {what}, {told}" in caplog.text
    assert (common.calibration.method, rare.calibration.method) == ("platt", "prior")
    assert common.calibration_error is not None
    assert rare.calibration_error is None


def test_of_a_single_output_the_user_is_told_why(caplog: pytest.LogCaptureFixture) -> None:
    logits, labels = simulate(positives_of_the_second=3)

    fit_outputs(NAMES[1:], logits[:, 1:], labels[:, 1:], TrainerSettings(), prior_shift=np.zeros(1))

    assert "Hernia: calibrated by prior: validation has 3 positives" in caplog.text
    assert "Hernia: decided at a fixed threshold of 0.5, since validation has 3" in caplog.text


def test_the_calibration_error_is_that_at_validation_s_prevalence() -> None:
    logits, labels = simulate(positives_of_the_second=30)

    def errors(prevalence: float | None) -> list[object]:
        settings = TrainerSettings(calibration={"prevalence": prevalence})
        outputs = fit_outputs(NAMES, logits, labels, settings, prior_shift=np.zeros(2))
        return [output.calibration_error for output in outputs]

    assert errors(0.001) == errors(None)
