"""What an evaluation says, as plain numbers with their counts."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow_model_analysis as tfma

from components.evaluator import eval_config
from components.example_gen import record
from components.example_gen.settings import DatasetName


@dataclasses.dataclass(frozen=True)
class SliceResult:
    """The figures of one slice of the test images.

    A figure that the slice does not define is None: an AUC or a sensitivity without positives, an
    AUC or a specificity without negatives, and the predictive values, which are those of its own
    prevalence, without both.

    Attributes:
      slice: the feature values that make it; empty for all images.
      n: images.
      positives: images with pneumonia.
      auc: area under the ROC curve.
      sensitivity: at the operating point.
      specificity: at the operating point.
      ppv: positive predictive value at the operating point.
      npv: negative predictive value at the operating point.
    """

    slice: Mapping[str, str]
    n: int
    positives: int
    auc: float | None
    sensitivity: float | None
    specificity: float | None
    ppv: float | None
    npv: float | None

    @property
    def name(self) -> str:
        """The slice in words."""
        return ", ".join(f"{key} {value}" for key, value in self.slice.items()) or "all images"


@dataclasses.dataclass(frozen=True)
class Gate:
    """One thing that was asked of the model.

    Attributes:
      name: of the gate.
      passed: whether the model meets it.
      sentence: what was compared, with both numbers.
    """

    name: str
    passed: bool
    sentence: str


def load_slices(evaluation_uri: str) -> list[SliceResult]:
    """Every slice of an evaluation: all images, then each dataset, then the others by name."""
    evaluation = tfma.load_eval_result(evaluation_uri)
    slices = [_slice(key, metrics) for key, metrics in evaluation.slicing_metrics]
    return sorted(
        slices, key=lambda one: (bool(one.slice), tuple(one.slice) != (record.DATASET,), one.name)
    )


def judge(slices: Sequence[SliceResult], min_auc: Mapping[DatasetName, float]) -> list[Gate]:
    """What the evaluation asked of each dataset, and what it found."""
    by_dataset = {
        one.slice[record.DATASET]: one for one in slices if tuple(one.slice) == (record.DATASET,)
    }
    gates = []
    for dataset, floor in min_auc.items():
        found = by_dataset.get(dataset)
        if found is None or found.auc is None:
            sentence = f"{dataset}: no AUC, where at least {floor:.2f} is asked for"
            gates.append(Gate(f"auc/{dataset}", False, sentence))
            continue
        relation = "meets" if found.auc >= floor else "is below"
        sentence = (
            f"{dataset}: AUC {found.auc:.3f} on {found.n} test images ({found.positives} with "
            f"pneumonia) {relation} the {floor:.2f} asked for"
        )
        gates.append(Gate(f"auc/{dataset}", found.auc >= floor, sentence))
    return gates


def _slice(key: Sequence[tuple[str, Any]], metrics: Mapping[str, Any]) -> SliceResult:
    decision = metrics[eval_config.DECISION][""]
    true_positives, false_negatives, true_negatives, false_positives = (
        round(decision[name]["doubleValue"])
        for name in (
            eval_config.TRUE_POSITIVES,
            eval_config.FALSE_NEGATIVES,
            eval_config.TRUE_NEGATIVES,
            eval_config.FALSE_POSITIVES,
        )
    )
    positives, negatives = true_positives + false_negatives, true_negatives + false_positives
    called, cleared = true_positives + false_positives, true_negatives + false_negatives
    both = bool(positives and negatives)
    auc = float(metrics[eval_config.PROBABILITY][""][eval_config.AUC]["doubleValue"])
    return SliceResult(
        slice={feature: str(value) for feature, value in key},
        n=positives + negatives,
        positives=positives,
        # TFMA says 0 where an AUC is not defined.
        auc=auc if both and math.isfinite(auc) else None,
        sensitivity=true_positives / positives if positives else None,
        specificity=true_negatives / negatives if negatives else None,
        ppv=true_positives / called if both and called else None,
        npv=true_negatives / cleared if both and cleared else None,
    )
