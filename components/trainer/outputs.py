"""What is fitted on validation, for each output of the network."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from components import progress
from components.trainer.calibration import Calibration, fit_calibration
from components.trainer.calibration_error import CalibrationError, cross_fit
from components.trainer.operating_point import OperatingPoint, choose_operating_point
from components.trainer.settings import TrainerSettings


@dataclasses.dataclass(frozen=True)
class Output:
    """One finding: from its logit to its decision.

    Attributes:
      name: of the finding.
      calibration: from logit to probability.
      operating_point: from probability to decision.
      calibration_error: by cross-fitting on validation, at validation's prevalence; None with
        too few images for that.
    """

    name: str
    calibration: Calibration
    operating_point: OperatingPoint
    calibration_error: CalibrationError | None = None


def fit_outputs(
    names: Sequence[str],
    logits: np.ndarray,
    labels: np.ndarray,
    settings: TrainerSettings,
    *,
    prior_shift: np.ndarray,
    patients: Sequence[str] | None = None,
) -> tuple[Output, ...]:
    """Calibrate each output and choose its operating point, on validation.

    Where that cannot be done as the settings say, the run's user is told.

    Args:
      names: of the K findings.
      logits: float [N, K], of the network as it will be served.
      labels: int [N, K], 0 or 1.
      settings: of the Trainer.
      prior_shift: float [K], see `calibration.fit_calibration`.
      patients: [N], whose image each is; None: every image is a patient.
    """
    outputs = tuple(
        _fit_output(name, logits[:, k], labels[:, k], settings, float(prior_shift[k]), patients)
        for k, name in enumerate(names)
    )
    _warn(outputs)
    return outputs


def _fit_output(
    name: str,
    logits: np.ndarray,
    labels: np.ndarray,
    settings: TrainerSettings,
    prior_shift: float,
    patients: Sequence[str] | None,
) -> Output:
    calibration = fit_calibration(logits, labels, settings.calibration, prior_shift)
    point = choose_operating_point(calibration(logits), labels, settings.operating_point)
    # The validation images have validation's prevalence, whatever is stated for others.
    here = settings.calibration.model_copy(update={"prevalence": None})
    error = cross_fit(
        logits,
        labels,
        lambda x, y: fit_calibration(x, y, here, prior_shift),
        seed=settings.seed,
        patients=patients,
    )
    return Output(name, calibration, point, error)


def _warn(outputs: Sequence[Output]) -> None:
    simpler = [one for one in outputs if one.calibration.reason]
    fixed = [one for one in outputs if not one.operating_point.as_asked]
    if len(outputs) == 1:
        for one in simpler:
            method, reason = one.calibration.method, one.calibration.reason
            progress.warn(f"{one.name}: calibrated by {method}: {reason}")
        for one in fixed:
            progress.warn(f"{one.name}: decided at {one.operating_point.chosen_by}")
        return
    # A line for each of many findings would bury what else there is to say.
    for what, found in (
        ("are calibrated by a simpler method than asked for", simpler),
        ("are decided at the fixed threshold", fixed),
    ):
        if found:
            names = ", ".join(f"{one.name} ({one.operating_point.positives})" for one in found)
            progress.warn(
                f"{len(found)} of {len(outputs)} findings {what}, since validation has too few "
                f"images; in brackets those with the finding: {names}"
            )
