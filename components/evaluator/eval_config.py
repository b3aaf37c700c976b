"""What the Evaluator measures, and what it asks of a model."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

# TFMA exports these messages at top level only after TFX was imported.
from tensorflow_model_analysis.proto import config_pb2

from components.evaluator.macro_auc import MacroAuc
from components.evaluator.settings import EvaluatorSettings
from components.example_gen import record
from components.source_digest import source_digest

SIGNATURE = "serving_examples"
PROBABILITY = "probability"
DECISION = "decision"

# Names of the metrics in the evaluation.
AUC = "auc"
AUC_PR = "auc_precision_recall"
MACRO_AUC = "macro_auc"
COUNT = "example_count"
SENSITIVITY = "sensitivity"
SPECIFICITY = "specificity"
TRUE_POSITIVES = "true_positives"
FALSE_POSITIVES = "false_positives"
TRUE_NEGATIVES = "true_negatives"
FALSE_NEGATIVES = "false_negatives"


def build_eval_config(
    settings: EvaluatorSettings, gated: Iterable[str], labels: record.Labels = "pneumonia"
) -> config_pb2.EvalConfig:
    """The configuration of TFMA.

    The model's two outputs are measured apart: `probability` over all thresholds, and `decision`,
    which is 0 or 1 already, at the operating point that the Trainer chose on validation.

    Thresholds are tied to the slices of single datasets. A threshold without a slice would hold
    for every slice, and no model meets an AUC where all images are of one class. Nor is TFMA told
    of a smallest slice: it counts a slice below that size as a failure of every threshold.

    Where all findings are labels, every figure is there for each of them, and what must reach the
    AUC is their macro average, see `macro_auc.MacroAuc`.

    Args:
      settings: of the Evaluator.
      gated: the datasets that must reach the AUC which the settings ask of them.
      labels: what Examples are labelled with.
    """
    multi_label = labels == "findings"
    label = record.FINDING_LABELS if multi_label else record.LABEL
    floors = [
        _auc_threshold(dataset, settings.min_auc[dataset])
        for dataset in sorted(gated)
        if dataset in settings.min_auc
    ]
    slices = [[], [record.DATASET], *(keys.split("*") for keys in settings.slices)]
    return config_pb2.EvalConfig(
        model_specs=[
            config_pb2.ModelSpec(
                signature_name=SIGNATURE,
                label_keys={PROBABILITY: label, DECISION: label},
                inference_batch_size=settings.batch_size,
            )
        ],
        slicing_specs=[config_pb2.SlicingSpec(feature_keys=keys) for keys in slices],
        metrics_specs=_multi_label_specs(floors) if multi_label else _binary_specs(floors),
    )


def _binary_specs(
    floors: Sequence[config_pb2.PerSliceMetricThreshold],
) -> list[config_pb2.MetricsSpec]:
    return [
        config_pb2.MetricsSpec(output_names=[PROBABILITY], metrics=_probability_metrics(floors)),
        config_pb2.MetricsSpec(output_names=[DECISION], metrics=_decision_metrics()),
    ]


def _multi_label_specs(
    floors: Sequence[config_pb2.PerSliceMetricThreshold],
) -> list[config_pb2.MetricsSpec]:
    classes = len(record.PATHOLOGIES)
    each = config_pb2.BinarizationOptions(class_ids={"values": range(classes)})
    macro_auc = config_pb2.MetricConfig(
        class_name=MacroAuc.__name__,
        module=MacroAuc.__module__,
        config=json.dumps(
            {"name": MACRO_AUC, "classes": classes, "code": source_digest("evaluator")}
        ),
        per_slice_thresholds=floors,
    )
    return [
        config_pb2.MetricsSpec(
            output_names=[PROBABILITY], metrics=[macro_auc, _metric("ExampleCount", name=COUNT)]
        ),
        config_pb2.MetricsSpec(
            output_names=[PROBABILITY],
            binarize=each,
            metrics=[_metric("AUC", name=AUC), _metric("AUC", name=AUC_PR, curve="PR")],
        ),
        config_pb2.MetricsSpec(output_names=[DECISION], binarize=each, metrics=_decision_metrics()),
    ]


def _probability_metrics(
    floors: Sequence[config_pb2.PerSliceMetricThreshold],
) -> list[config_pb2.MetricConfig]:
    auc = _metric("AUC", name=AUC)
    auc.per_slice_thresholds.extend(floors)
    return [
        auc,
        _metric("AUC", name=AUC_PR, curve="PR"),
        _metric("ExampleCount", name=COUNT),
        _metric("Calibration", name="calibration"),
        _metric("ConfusionMatrixPlot"),
        _metric("CalibrationPlot", num_buckets=20, left=0.0, right=1.0),
    ]


def _decision_metrics() -> list[config_pb2.MetricConfig]:
    metrics = {
        "Recall": SENSITIVITY,
        "Specificity": SPECIFICITY,
        "Precision": "ppv",
        "NPV": "npv",
        "BalancedAccuracy": "balanced_accuracy",
        "F1Score": "f1",
        "TruePositives": TRUE_POSITIVES,
        "FalsePositives": FALSE_POSITIVES,
        "TrueNegatives": TRUE_NEGATIVES,
        "FalseNegatives": FALSE_NEGATIVES,
    }
    # Any threshold between the decisions 0 and 1 will do.
    return [_metric(kind, name=name, thresholds=0.5) for kind, name in metrics.items()]


def _metric(class_name: str, **config: str | float) -> config_pb2.MetricConfig:
    return config_pb2.MetricConfig(class_name=class_name, config=json.dumps(config))


def _auc_threshold(dataset: str, floor: float) -> config_pb2.PerSliceMetricThreshold:
    return config_pb2.PerSliceMetricThreshold(
        slicing_specs=[config_pb2.SlicingSpec(feature_values={record.DATASET: dataset})],
        threshold=config_pb2.MetricThreshold(
            value_threshold=config_pb2.GenericValueThreshold(lower_bound={"value": floor})
        ),
    )
