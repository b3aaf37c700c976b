"""What the Evaluator measures, and what it asks of a model."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

# TFMA exports these messages at top level only after TFX was imported.
from tensorflow_model_analysis.proto import config_pb2

from components.evaluator import figures, metrics
from components.evaluator.settings import EvaluatorSettings
from components.example_gen import record
from components.scorer.features import DECISION, PROBABILITY
from components.source_digest import source_digest

# Names of the metrics in the evaluation, beside those of `figures`.
AUC = "auc"
AVERAGE_PRECISION = "average_precision"
BRIER = "brier"
ECE = "ece"
AUC_GAP = "auc_gap"
AUC_GAP_COMPARED = "auc_gap_compared"
COUNT = "example_count"
MACRO = "macro_"
MACRO_AUC = f"{MACRO}{AUC}"

_MACRO_OF_PROBABILITY = (AUC, AVERAGE_PRECISION, BRIER, ECE)
_MACRO_OF_DECISION = ("sensitivity", "specificity", "ppv", "npv", "f1", "balanced_accuracy")
_CLASSES = len(record.PATHOLOGIES)
_INTERVALS = config_pb2.ConfidenceIntervalOptions


def build_eval_config(
    settings: EvaluatorSettings, gated: Iterable[str], labels: record.Labels = "pneumonia"
) -> config_pb2.EvalConfig:
    """The configuration of TFMA.

    TFMA reads what the Scorer found rather than run the model again. The model's two outputs are
    measured apart: `probability` over all thresholds, and `decision`, which is 0 or 1 already, at
    the operating point that the Trainer chose on validation.

    Thresholds are tied to the slices of single datasets. A threshold without a slice would hold
    for every slice, and no model meets an AUC where all images are of one class. Nor is TFMA told
    of a smallest slice: it counts a slice below that size as a failure of every threshold.

    Which pairs of subgroups are too far apart stands in the validation result, one by one. But
    TFMA (0.52) looks for such pairs in a list of single slices, misses every one, and so blesses
    no model of which gaps are asked about. The blessing that counts is not the Evaluator's.

    Where all findings are labels, every figure is there for each of them, and what must reach the
    AUC is their macro average, see `metrics.Macro`.

    Args:
      settings: of the Evaluator.
      gated: the datasets that must reach what the settings ask of them.
      labels: what Examples are labelled with.
    """
    multi_label = labels == "findings"
    label = record.FINDING_LABELS if multi_label else record.LABEL
    gated = sorted(gated)
    floors = [
        _auc_threshold(dataset, settings.min_auc[dataset])
        for dataset in gated
        if dataset in settings.min_auc
    ]
    gaps = {
        (dataset, feature): gap
        for dataset in gated
        for feature, gap in settings.max_gap.get(dataset, {}).items()
    }
    auc_gap = _ours(
        metrics.AucGap,
        AUC_GAP,
        fewest=settings.min_gap_images,
        classes=_CLASSES if multi_label else 1,
    )
    auc_gap.cross_slice_thresholds.extend(
        _gap_threshold(dataset, feature, gap) for (dataset, feature), gap in gaps.items()
    )
    specs = _multi_label_specs(floors) if multi_label else _binary_specs(floors)
    if gaps:
        specs.append(config_pb2.MetricsSpec(output_names=[PROBABILITY], metrics=[auc_gap]))
    return config_pb2.EvalConfig(
        model_specs=[
            config_pb2.ModelSpec(
                model_type="materialized_prediction",
                prediction_keys={PROBABILITY: PROBABILITY, DECISION: DECISION},
                label_keys={PROBABILITY: label, DECISION: label},
            )
        ],
        slicing_specs=[
            config_pb2.SlicingSpec(feature_keys=keys)
            for keys in _slices(settings.slices, [feature for _, feature in gaps])
        ],
        cross_slicing_specs=[_pairs(dataset, feature) for dataset, feature in gaps],
        metrics_specs=specs,
        options=_options(settings),
    )


def _slices(asked: Sequence[str], compared: Iterable[str]) -> list[list[str]]:
    """The features of each slicing: none, the dataset, those asked for, those to compare."""
    every = [[], [record.DATASET], *(keys.split("*") for keys in asked)]
    every += [[record.DATASET, feature] for feature in compared]
    # The order of the features makes no other slices.
    return list({frozenset(keys): keys for keys in reversed(every)}.values())[::-1]


def _pairs(dataset: str, feature: str) -> config_pb2.CrossSlicingSpec:
    """Every subgroup of a dataset beside every other, in either order."""
    subgroups = config_pb2.SlicingSpec(
        feature_values={record.DATASET: dataset}, feature_keys=[feature]
    )
    return config_pb2.CrossSlicingSpec(baseline_spec=subgroups, slicing_specs=[subgroups])


def _binary_specs(
    floors: Sequence[config_pb2.PerSliceMetricThreshold],
) -> list[config_pb2.MetricsSpec]:
    auc, *others = _probability_metrics()
    auc.per_slice_thresholds.extend(floors)
    count = _metric("ExampleCount", name=COUNT)
    return [
        config_pb2.MetricsSpec(output_names=[PROBABILITY], metrics=[auc, *others, count]),
        config_pb2.MetricsSpec(output_names=[DECISION], metrics=_decision_metrics()),
    ]


def _multi_label_specs(
    floors: Sequence[config_pb2.PerSliceMetricThreshold],
) -> list[config_pb2.MetricsSpec]:
    each = config_pb2.BinarizationOptions(class_ids={"values": range(_CLASSES)})
    macro_auc, *others = _macros(_MACRO_OF_PROBABILITY)
    macro_auc.per_slice_thresholds.extend(floors)
    count = _metric("ExampleCount", name=COUNT)
    return [
        config_pb2.MetricsSpec(
            output_names=[PROBABILITY], binarize=each, metrics=_probability_metrics()
        ),
        config_pb2.MetricsSpec(output_names=[DECISION], binarize=each, metrics=_decision_metrics()),
        # After what they are means of.
        config_pb2.MetricsSpec(output_names=[PROBABILITY], metrics=[macro_auc, *others, count]),
        config_pb2.MetricsSpec(output_names=[DECISION], metrics=_macros(_MACRO_OF_DECISION)),
    ]


def _probability_metrics() -> list[config_pb2.MetricConfig]:
    return [
        *(_ours(metrics.OverThresholds, name) for name in figures.OVER_THRESHOLDS),
        _ours(metrics.BrierScore, BRIER),
        _ours(metrics.ExpectedCalibrationError, ECE),
        _metric("ConfusionMatrixPlot"),
        _metric("CalibrationPlot", num_buckets=20, left=0.0, right=1.0),
    ]


def _decision_metrics() -> list[config_pb2.MetricConfig]:
    return [_ours(metrics.AtOperatingPoint, name) for name in figures.AT_OPERATING_POINT]


def _macros(names: Iterable[str]) -> list[config_pb2.MetricConfig]:
    return [_ours(metrics.Macro, f"{MACRO}{name}", of=name, classes=_CLASSES) for name in names]


def _metric(class_name: str, **config: str | float) -> config_pb2.MetricConfig:
    return config_pb2.MetricConfig(class_name=class_name, config=json.dumps(config))


def _ours(kind: type, name: str, **config: str | float) -> config_pb2.MetricConfig:
    values = {"name": name, **config, "code": source_digest("evaluator")}
    return config_pb2.MetricConfig(
        class_name=kind.__name__, module=kind.__module__, config=json.dumps(values)
    )


def _auc_threshold(dataset: str, floor: float) -> config_pb2.PerSliceMetricThreshold:
    return config_pb2.PerSliceMetricThreshold(
        slicing_specs=[config_pb2.SlicingSpec(feature_values={record.DATASET: dataset})],
        threshold=config_pb2.MetricThreshold(
            value_threshold=config_pb2.GenericValueThreshold(lower_bound={"value": floor})
        ),
    )


def _gap_threshold(dataset: str, feature: str, gap: float) -> config_pb2.CrossSliceMetricThreshold:
    return config_pb2.CrossSliceMetricThreshold(
        cross_slicing_specs=[_pairs(dataset, feature)],
        threshold=config_pb2.MetricThreshold(
            value_threshold=config_pb2.GenericValueThreshold(upper_bound={"value": gap})
        ),
    )


def _options(settings: EvaluatorSettings) -> config_pb2.Options:
    if settings.confidence_intervals == "none":
        return config_pb2.Options()
    method = {
        "jackknife": _INTERVALS.JACKKNIFE,
        "poisson_bootstrap": _INTERVALS.POISSON_BOOTSTRAP,
    }[settings.confidence_intervals]
    return config_pb2.Options(
        compute_confidence_intervals={"value": True}, confidence_intervals={"method": method}
    )
