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
    return tuple(
        _fit_output(name, logits[:, k], labels[:, k], settings, float(prior_shift[k]), patients)
        for k, name in enumerate(names)
    )


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
    if calibration.reason:
        progress.warn(f"{name}: calibrated by {calibration.method}: {calibration.reason}")
    if not point.as_asked:
        progress.warn(f"{name}: decided at {point.chosen_by}")
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
