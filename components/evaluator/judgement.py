"""What is known of a model after its evaluation, and whether it is blessed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from components.plain import Plain
from components.statistics.interval import Interval

FILE_NAME = "judgement.json"
# The name of the model that was blessed before, among the baselines.
LAST_BLESSED = "last blessed"

Verdict = Literal["passed", "refused", "not judged"]


class Confusion(Plain):
    """Images by what they show and what was decided, at the operating point."""

    true_positives: int
    false_positives: int
    true_negatives: int
    false_negatives: int

    @classmethod
    def of(cls, labels: NDArray[np.int64], decisions: NDArray[np.int64]) -> Confusion:
        """Count: both are [N], 0 or 1."""
        return cls(
            true_positives=int(np.sum((labels == 1) & (decisions == 1))),
            false_positives=int(np.sum((labels == 0) & (decisions == 1))),
            true_negatives=int(np.sum((labels == 0) & (decisions == 0))),
            false_negatives=int(np.sum((labels == 1) & (decisions == 0))),
        )


class Performance(Plain):
    """How well one finding is told on some images.

    What the images do not define is None: an AUC without images of both classes, a sensitivity
    without positives, a specificity without negatives, a predictive value without both.

    Attributes:
      finding: out of the model's outputs.
      n: images.
      patients: they are of.
      positives: images with the finding.
      auc: area under the ROC curve, with DeLong's interval, or Newcombe's of few images.
      auc_by_patient: the same with an interval that knows which images are one patient's; None
        where the other is Newcombe's, since resamples of so few images say nothing either.
      average_precision: area under the precision-recall curve.
      confusion: at the operating point.
      sensitivity: at the operating point, which was chosen on validation; so are the next six.
      specificity: likewise.
      ppv: positive predictive value at the images' own prevalence.
      npv: negative predictive value, likewise.
      ppv_at_prevalence: PPV at the prevalence that the settings state.
      f1: harmonic mean of PPV and sensitivity.
      balanced_accuracy: mean of sensitivity and specificity.
      brier: mean squared distance of probability and label.
      ece: expected calibration error.
    """

    finding: str
    n: int
    patients: int
    positives: int
    auc: Interval | None
    auc_by_patient: Interval | None
    average_precision: Interval | None
    confusion: Confusion
    sensitivity: Interval | None
    specificity: Interval | None
    ppv: Interval | None
    npv: Interval | None
    ppv_at_prevalence: Interval | None
    f1: float | None
    balanced_accuracy: float | None
    brier: Interval | None
    ece: Interval | None


class SlicePerformance(Plain):
    """A slice of a split.

    Attributes:
      slice: the feature values that make it; empty for all images.
      n: images.
      macro_auc: mean of the findings' AUCs, over those that have one; None if none has, and of a
        model of one finding.
      findings: one for each output of the model.
    """

    slice: Mapping[str, str]
    n: int
    macro_auc: Interval | None
    findings: tuple[Performance, ...]


class Gate(Plain):
    """One thing that was asked of the model.

    Attributes:
      name: what is asked, such as `auc` or `shortcut`.
      dataset: on whose test images.
      verdict: what came of it.
      sentence: what was compared, with both numbers.
      value: what was found; None where nothing could be.
      limit: what was asked for.
    """

    name: str
    dataset: str
    verdict: Verdict
    sentence: str
    value: float | None
    limit: float


class Baseline(Plain):
    """A trivial model, or the last blessed one, beside this one on one dataset's test images.

    Attributes:
      name: of the other model, such as `thumbnail` or `last blessed`.
      dataset: on whose test images.
      auc: of the other model; macro over findings for a multi-label one.
      lift: this model's AUC minus the other's, on the same images.
      p_value: of no difference.
    """

    name: str
    dataset: str
    auc: Interval
    lift: Interval
    p_value: float | None


class Judgement(Plain):
    """The figures, the gates and the verdict.

    Attributes:
      blessed: whether the model may be pushed.
      report_only: whether the gates were asked to refuse nothing.
      gates: in order of datasets.
      prevalence: at which `ppv_at_prevalence` is given, by dataset.
      splits: `test`, `val` and, where test images were balanced, `test_unsampled`; each with all
        images first, then each dataset, then the other slices. Slices smaller than the settings
        want are left out.
      too_small: how many slices each split left out.
      baselines: on the test split.
    """

    blessed: bool
    report_only: bool
    gates: tuple[Gate, ...]
    prevalence: Mapping[str, float]
    splits: Mapping[str, tuple[SlicePerformance, ...]]
    too_small: Mapping[str, int]
    baselines: tuple[Baseline, ...]

    @property
    def refused_by(self) -> tuple[Gate, ...]:
        """The gates that were not passed."""
        return tuple(gate for gate in self.gates if gate.verdict == "refused")


def read_judgement(uri: str) -> Judgement:
    """What `ModelGate` wrote to its artifact."""
    # Here, since it imports TFX, which takes seconds: reports are listed without it.
    from tfx.dsl.io import fileio

    with fileio.open(f"{uri}/{FILE_NAME}", "rb") as file:
        return Judgement.model_validate_json(file.read())
