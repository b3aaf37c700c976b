"""The macro AUC of a multi-label model, as a metric of TFMA's.

TFMA gives an AUC of 0 where all images of a slice are of one class, and its own macro average
counts that 0 among the rest: a finding that the test images lack would pull the average down by a
fourteenth. This one averages over the findings that can be measured.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.metrics import binary_confusion_matrices, metric_util
from tensorflow_model_analysis.proto import config_pb2


class MacroAuc(tfma.metrics.Metric):
    """Mean of the classes' areas under the ROC curve, over those with images on both sides.

    Where there is no such class it is not a number, and no threshold is met.
    """

    def __init__(self, classes: int, name: str, code: str = ""):
        """Construct the metric.

        Args:
          classes: how many outputs the model has.
          name: of the metric.
          code: a digest of the source. Nothing reads it: it is there so that an edit invalidates
            a cached evaluation.
        """
        super().__init__(
            metric_util.merge_per_key_computations(_macro_auc),
            classes=classes,
            name=name,
            code=code,
        )


def _macro_auc(
    classes: int,
    name: str,
    code: str,
    eval_config: config_pb2.EvalConfig | None = None,
    model_name: str = "",
    output_name: str = "",
    example_weighted: bool = False,
    **_: Any,
) -> tfma.metrics.MetricComputations:
    key = tfma.metrics.MetricKey(name, model_name, output_name, example_weighted=example_weighted)
    # The same that the AUC of each class asks for, so that TFMA computes them once.
    matrices = [
        binary_confusion_matrices.binary_confusion_matrices(
            eval_config=eval_config,
            model_name=model_name,
            output_name=output_name,
            sub_key=tfma.metrics.SubKey(class_id=class_id),
            example_weighted=example_weighted,
        )
        for class_id in range(classes)
    ]
    of_class = [computations[-1].keys[0] for computations in matrices]

    def result(
        metrics: Mapping[tfma.metrics.MetricKey, Any],
    ) -> dict[tfma.metrics.MetricKey, float]:
        areas = [area for one in of_class if (area := roc_auc(metrics[one])) is not None]
        return {key: sum(areas) / len(areas) if areas else math.nan}

    derived = tfma.metrics.DerivedMetricComputation(keys=[key], result=result)
    return [*(one for computations in matrices for one in computations), derived]


def roc_auc(matrices: binary_confusion_matrices.Matrices) -> float | None:
    """The area under the ROC curve; None where one of the two classes has no image.

    Args:
      matrices: by rising threshold, the first of which is below every score.
    """
    positives, negatives = matrices.tp[0], matrices.fp[0]
    if not positives or not negatives:
        return None
    sensitivity, false_alarms = np.array(matrices.tp), np.array(matrices.fp)
    return float(-np.trapezoid(sensitivity / positives, false_alarms / negatives))
