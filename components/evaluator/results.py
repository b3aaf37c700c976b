"""What an evaluation says, as plain numbers with their counts."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import tensorflow_model_analysis as tfma

from components.evaluator import eval_config
from components.example_gen import record
from components.example_gen.settings import DatasetName


@dataclasses.dataclass(frozen=True, kw_only=True)
class Figures:
    """How well one finding is told on some images.

    A figure that the images do not define is None: an AUC or a sensitivity without positives, an
    AUC or a specificity without negatives, and the predictive values, which are those of the
    images' own prevalence, without both.

    Attributes:
      n: images.
      positives: images with the finding.
      auc: area under the ROC curve.
      sensitivity: at the operating point.
      specificity: at the operating point.
      ppv: positive predictive value at the operating point.
      npv: negative predictive value at the operating point.
    """

    n: int
    positives: int
    auc: float | None
    sensitivity: float | None
    specificity: float | None
    ppv: float | None
    npv: float | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class SliceResult(Figures):
    """Pneumonia on one slice of the test images.

    Attributes:
      slice: the feature values that make it; empty for all images.
    """

    slice: Mapping[str, str]

    @property
    def name(self) -> str:
        """The slice in words."""
        return slice_name(self.slice)


@dataclasses.dataclass(frozen=True, kw_only=True)
class FindingResult(Figures):
    """One of the findings of a multi-label model, on one slice of the test images.

    Attributes:
      finding: out of `record.PATHOLOGIES`.
    """

    finding: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class MultiLabelResult:
    """All findings on one slice of the test images.

    Attributes:
      slice: the feature values that make it; empty for all images.
      n: images.
      macro_auc: mean of the findings' AUCs, over those that have one; None if none has.
      measured: how many those are.
      findings: each of them, in the order of `record.PATHOLOGIES`.
    """

    slice: Mapping[str, str]
    n: int
    macro_auc: float | None
    measured: int
    findings: tuple[FindingResult, ...]

    @property
    def name(self) -> str:
        """The slice in words."""
        return slice_name(self.slice)


Result = TypeVar("Result", SliceResult, MultiLabelResult)


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


def slice_name(features: Mapping[str, str]) -> str:
    """A slice in words."""
    return ", ".join(f"{key} {value}" for key, value in features.items()) or "all images"


def load_slices(evaluation_uri: str) -> list[SliceResult]:
    """Every slice of an evaluation: all images, then each dataset, then the others by name."""
    evaluation = tfma.load_eval_result(evaluation_uri)
    return _in_order([_slice(key, metrics) for key, metrics in evaluation.slicing_metrics])


def load_multi_label(evaluation_uri: str) -> list[MultiLabelResult]:
    """The same of a multi-label model, each slice with all its findings."""
    evaluation = tfma.load_eval_result(evaluation_uri)
    return _in_order([_multi_label(key, metrics) for key, metrics in evaluation.slicing_metrics])


def judge(
    slices: Sequence[SliceResult] | Sequence[MultiLabelResult],
    min_auc: Mapping[DatasetName, float],
) -> list[Gate]:
    """What the evaluation asked of each dataset, and what it found."""
    by_dataset = {
        one.slice[record.DATASET]: one for one in slices if tuple(one.slice) == (record.DATASET,)
    }
    return [_gate(dataset, by_dataset.get(dataset), floor) for dataset, floor in min_auc.items()]


def _gate(dataset: str, found: SliceResult | MultiLabelResult | None, floor: float) -> Gate:
    name = f"auc/{dataset}"
    auc = None if found is None else _judged_auc(found)
    if found is None or auc is None:
        return Gate(name, False, f"{dataset}: no AUC, where at least {floor:.2f} is asked for")
    relation = "meets" if auc >= floor else "is below"
    sentence = f"{dataset}: {_said(found, auc)} {relation} the {floor:.2f} asked for"
    return Gate(name, auc >= floor, sentence)


def _judged_auc(found: SliceResult | MultiLabelResult) -> float | None:
    return found.macro_auc if isinstance(found, MultiLabelResult) else found.auc


def _said(found: SliceResult | MultiLabelResult, auc: float) -> str:
    if isinstance(found, MultiLabelResult):
        measured = f"{found.measured} of {len(found.findings)} findings"
        return f"macro AUC {auc:.3f} over {measured} on {found.n} test images"
    return f"AUC {auc:.3f} on {found.n} test images ({found.positives} with pneumonia)"


def _in_order(slices: Sequence[Result]) -> list[Result]:
    return sorted(
        slices, key=lambda one: (bool(one.slice), tuple(one.slice) != (record.DATASET,), one.name)
    )


def _slice(key: Sequence[tuple[str, Any]], metrics: Mapping[str, Any]) -> SliceResult:
    return SliceResult(slice=_features(key), **_figures(metrics, ""))


def _multi_label(key: Sequence[tuple[str, Any]], metrics: Mapping[str, Any]) -> MultiLabelResult:
    findings = tuple(
        # TFMA's name of an output of several.
        FindingResult(finding=name, **_figures(metrics, f"classId:{class_id}"))
        for class_id, name in enumerate(record.PATHOLOGIES)
    )
    macro_auc = _number(metrics[eval_config.PROBABILITY][""], eval_config.MACRO_AUC)
    return MultiLabelResult(
        slice=_features(key),
        n=findings[0].n,
        macro_auc=macro_auc if math.isfinite(macro_auc) else None,
        measured=sum(one.auc is not None for one in findings),
        findings=findings,
    )


def _features(key: Sequence[tuple[str, Any]]) -> dict[str, str]:
    return {feature: str(value) for feature, value in key}


def _figures(metrics: Mapping[str, Any], output: str) -> dict[str, Any]:
    """The fields of `Figures`; `output` is empty for a model with one."""
    decision = metrics[eval_config.DECISION][output]
    true_positives, false_negatives, true_negatives, false_positives = (
        round(_number(decision, name))
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
    auc = _number(metrics[eval_config.PROBABILITY][output], eval_config.AUC)
    return {
        "n": positives + negatives,
        "positives": positives,
        # TFMA says 0 where an AUC is not defined.
        "auc": auc if both and math.isfinite(auc) else None,
        "sensitivity": true_positives / positives if positives else None,
        "specificity": true_negatives / negatives if negatives else None,
        "ppv": true_positives / called if both and called else None,
        "npv": true_negatives / cleared if both and cleared else None,
    }


def _number(metrics: Mapping[str, Any], name: str) -> float:
    return float(metrics[name]["doubleValue"])
