"""What an evaluation says, as plain numbers with their counts."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.slicer import slicer_lib

from components import storage
from components.evaluator import eval_config
from components.example_gen import record
from components.scorer.features import DECISION, PROBABILITY


@dataclasses.dataclass(frozen=True, kw_only=True)
class Figures:
    """How well one finding is told on some images.

    A figure that the images do not define is None: a sensitivity without positives, a specificity
    without negatives, and without both an AUC, an average precision, an F1, a balanced accuracy and
    the predictive values, which are those of the images' own prevalence.

    Attributes:
      n: images.
      positives: images with the finding.
      auc: area under the ROC curve.
      average_precision: area under the precision-recall curve.
      sensitivity: at the operating point.
      specificity: at the operating point.
      ppv: positive predictive value at the operating point.
      npv: negative predictive value at the operating point.
      f1: harmonic mean of PPV and sensitivity.
      balanced_accuracy: mean of sensitivity and specificity.
      brier: mean squared distance of probability and label.
      ece: expected calibration error.
    """

    n: int
    positives: int
    auc: float | None
    average_precision: float | None
    sensitivity: float | None
    specificity: float | None
    ppv: float | None
    npv: float | None
    f1: float | None
    balanced_accuracy: float | None
    brier: float | None
    ece: float | None


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


@dataclasses.dataclass(frozen=True, kw_only=True)
class Gap:
    """How far a model's AUCs on two subgroups of a dataset are apart.

    Attributes:
      dataset: whose test images they are.
      feature: what divides them.
      values: of the feature, for the two subgroups, in order.
      aucs: on each; None where it is not defined; the macro AUCs of a multi-label model.
      gap: the distance; of a multi-label model the mean over the findings that both subgroups have
        enough images of, however its sign; None where nothing can be compared.
      refused: whether TFMA's validation found it above the limit.
    """

    dataset: str
    feature: str
    values: tuple[str, str]
    aucs: tuple[float | None, float | None]
    gap: float | None
    refused: bool


def slice_name(features: Mapping[str, str]) -> str:
    """A slice in words."""
    return ", ".join(f"{key} {value}" for key, value in features.items()) or "all images"


def load_slices(evaluation_uri: str) -> list[SliceResult]:
    """Every slice of an evaluation: all images, then each dataset, then the others by name."""
    return _in_order([_slice(key, metrics) for key, metrics in _single_slices(evaluation_uri)])


def load_multi_label(evaluation_uri: str) -> list[MultiLabelResult]:
    """The same of a multi-label model, each slice with all its findings."""
    return _in_order(
        [_multi_label(key, metrics) for key, metrics in _single_slices(evaluation_uri)]
    )


def load_gaps(evaluation_uri: str) -> list[Gap]:
    """The gaps between subgroups that the evaluation was asked about, each pair once."""
    with storage.local_copy(evaluation_uri) as folder:
        evaluation = tfma.load_eval_result(str(folder))
        refused = _refused_pairs(str(folder))
    aucs = {
        frozenset(_features(key).items()): _slice_auc(metrics)
        for key, metrics in evaluation.slicing_metrics
        if not slicer_lib.is_cross_slice_key(key)
    }
    gaps = []
    for key, metrics in evaluation.slicing_metrics:
        if not slicer_lib.is_cross_slice_key(key):
            continue
        first, second = _features(key[0]), _features(key[1])
        (feature,) = first.keys() - {record.DATASET}
        # TFMA has each pair in either order, and every subgroup beside itself.
        if first[feature] >= second[feature]:
            continue
        found = metrics[PROBABILITY][""]
        compared = _number(found, eval_config.AUC_GAP_COMPARED)
        pair = frozenset({first[feature], second[feature]})
        gaps.append(
            Gap(
                dataset=first[record.DATASET],
                feature=feature,
                values=(first[feature], second[feature]),
                aucs=(aucs[frozenset(first.items())], aucs[frozenset(second.items())]),
                gap=abs(_number(found, eval_config.AUC_GAP)) if compared else None,
                refused=(first[record.DATASET], feature, pair) in refused,
            )
        )
    return sorted(gaps, key=lambda one: (one.dataset, one.feature, one.values))


def _in_order(slices: Sequence[Result]) -> list[Result]:
    return sorted(
        slices, key=lambda one: (bool(one.slice), tuple(one.slice) != (record.DATASET,), one.name)
    )


def _single_slices(evaluation_uri: str) -> Iterable[tuple[Any, Mapping[str, Any]]]:
    with storage.local_copy(evaluation_uri) as folder:
        evaluation = tfma.load_eval_result(str(folder))
    return itertools.filterfalse(
        lambda one: slicer_lib.is_cross_slice_key(one[0]), evaluation.slicing_metrics
    )


def _refused_pairs(evaluation_uri: str) -> set[tuple[str, str, frozenset[str]]]:
    """Dataset, feature and the two values of the pairs that TFMA's validation refused."""
    refused = set()
    for one in tfma.load_validation_result(evaluation_uri).metric_validations_per_slice:
        if not one.HasField("cross_slice_key"):
            continue
        first, second = slicer_lib.deserialize_cross_slice_key(one.cross_slice_key)
        features, others = _features(first), _features(second)
        (feature,) = features.keys() - {record.DATASET}
        pair = frozenset({features[feature], others[feature]})
        refused.add((features[record.DATASET], feature, pair))
    return refused


def _slice(key: Sequence[tuple[str, Any]], metrics: Mapping[str, Any]) -> SliceResult:
    return SliceResult(slice=_features(key), **_figures(metrics, ""))


def _multi_label(key: Sequence[tuple[str, Any]], metrics: Mapping[str, Any]) -> MultiLabelResult:
    findings = tuple(
        # TFMA's name of an output of several.
        FindingResult(finding=name, **_figures(metrics, f"classId:{class_id}"))
        for class_id, name in enumerate(record.PATHOLOGIES)
    )
    return MultiLabelResult(
        slice=_features(key),
        n=findings[0].n,
        macro_auc=_slice_auc(metrics),
        measured=sum(one.auc is not None for one in findings),
        findings=findings,
    )


def _features(key: Sequence[tuple[str, Any]]) -> dict[str, str]:
    return {feature: str(value) for feature, value in key}


def _slice_auc(metrics: Mapping[str, Any]) -> float | None:
    found = metrics[PROBABILITY][""]
    multi_label = eval_config.MACRO_AUC in found
    return _defined(found, eval_config.MACRO_AUC if multi_label else eval_config.AUC)


def _figures(metrics: Mapping[str, Any], output: str) -> dict[str, Any]:
    """The fields of `Figures`; `output` is empty for a model with one."""
    probability, decision = metrics[PROBABILITY][output], metrics[DECISION][output]
    positives, negatives = (round(_number(decision, name)) for name in ("positives", "negatives"))
    return {
        "n": positives + negatives,
        "positives": positives,
        "auc": _defined(probability, eval_config.AUC),
        "average_precision": _defined(probability, eval_config.AVERAGE_PRECISION),
        "brier": _defined(probability, eval_config.BRIER),
        "ece": _defined(probability, eval_config.ECE),
        "sensitivity": _defined(decision, "sensitivity"),
        "specificity": _defined(decision, "specificity"),
        "ppv": _defined(decision, "ppv"),
        "npv": _defined(decision, "npv"),
        "f1": _defined(decision, "f1"),
        "balanced_accuracy": _defined(decision, "balanced_accuracy"),
    }


def _defined(metrics: Mapping[str, Any], name: str) -> float | None:
    value = _number(metrics, name)
    return value if math.isfinite(value) else None


def _number(metrics: Mapping[str, Any], name: str) -> float:
    found = metrics[name]
    # With a confidence interval, where TFMA found one.
    if "boundedValue" in found:
        return float(found["boundedValue"]["value"])
    return float(found["doubleValue"])
