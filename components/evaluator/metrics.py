"""Our figures as metrics of TFMA's.

Each is derived from what TFMA counts anyway, so that several share the counting. A metric is
found by TFMA by its class and module, and made of the settings in the EvalConfig; `code` is a
digest of the source, which nothing reads: it is there so that an edit invalidates a cached
evaluation.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import apache_beam as beam
import numpy as np
import tensorflow_model_analysis as tfma
from numpy.typing import NDArray
from tensorflow_model_analysis.metrics import (
    binary_confusion_matrices,
    calibration_histogram,
    metric_types,
    metric_util,
)
from tensorflow_model_analysis.proto import config_pb2

from components.evaluator import figures
from components.trainer.calibration_error import BINS

Computations: TypeAlias = tfma.metrics.MetricComputations
EvalConfig: TypeAlias = config_pb2.EvalConfig | None
Metrics: TypeAlias = Mapping[tfma.metrics.MetricKey, Any]
# As TFMA's own AUC has them.
_FINE = calibration_histogram.DEFAULT_NUM_BUCKETS

# A number out of the metric that another computation left.
Figure: TypeAlias = Callable[[Any], float]


class AtOperatingPoint(tfma.metrics.Metric):
    """A figure of `figures.AT_OPERATING_POINT`, from decisions of 0 and 1."""

    def __init__(self, name: str, code: str = ""):
        """Name it, as the figure."""
        super().__init__(_per_key(_at_operating_point), name=name, code=code)


class OverThresholds(tfma.metrics.Metric):
    """A figure of `figures.OVER_THRESHOLDS`, from probabilities.

    They are counted in 10,000 bins: two in one bin tie.
    """

    def __init__(self, name: str, code: str = ""):
        """Name it, as the figure."""
        super().__init__(_per_key(_over_thresholds), name=name, code=code)


class ExpectedCalibrationError(tfma.metrics.Metric):
    """`calibration_error.expected_calibration_error`, from probabilities."""

    def __init__(self, name: str, code: str = ""):
        """Name it."""
        super().__init__(_per_key(_calibration_error), name=name, code=code)


class BrierScore(tfma.metrics.Metric):
    """Mean squared distance of probability and label (Brier 1950).

    Not TFMA's MeanSquaredError, which counts the first of several parts twice when it merges them.
    """

    def __init__(self, name: str, code: str = ""):
        """Name it."""
        super().__init__(_per_key(_brier), name=name, code=code)


class Macro(tfma.metrics.Metric):
    """Mean of one metric over the findings of a multi-label model that define it.

    TFMA's own macro average counts a finding that the images lack as 0.
    """

    def __init__(self, name: str, of: str, classes: int, code: str = ""):
        """Name it.

        Args:
          name: of the metric.
          of: the metric of each finding, which the configuration has before this one.
          classes: how many findings.
          code: a digest of the source.
        """
        super().__init__(
            _per_key(_macro),
            name=name,
            of=of,
            classes=classes,
            code=code,
        )


class AucGap(tfma.metrics.Metric):
    """How much larger the AUC is on one slice than on another.

    Of a multi-label model it is the mean over the findings that can be compared: those of which
    each slice has enough images with and without. How many these are is a metric of its own, named
    `NAME_compared`. Where there is none, no gap was found, and the metric is 0: TFMA takes what is
    not a number for a failure.
    """

    def __init__(self, name: str, fewest: int, classes: int = 1, code: str = ""):
        """Name it.

        Args:
          name: of the metric.
          fewest: images of either class that a slice must have.
          classes: how many findings.
          code: a digest of the source.
        """
        super().__init__(
            _per_key(_auc_gap),
            name=name,
            fewest=fewest,
            classes=classes,
            code=code,
        )


@dataclasses.dataclass(frozen=True)
class _Where:
    """Of which model, output and class a metric is, as TFMA's keys and computations name it."""

    model_name: str
    output_name: str
    sub_key: tfma.metrics.SubKey | None
    example_weighted: bool

    def key(self, name: str) -> tfma.metrics.MetricKey:
        return tfma.metrics.MetricKey(name, **vars(self))

    def of_class(self, class_id: int) -> _Where:
        return dataclasses.replace(self, sub_key=tfma.metrics.SubKey(class_id=class_id))

    def histogram(self, config: EvalConfig, bins: int = _FINE) -> Computations:
        """Probabilities and labels, in bins of equal width.

        AUCs are made of it, too: of TFMA's confusion matrices each would hold 10,000, whatever
        the number of images.
        """
        return calibration_histogram.calibration_histogram(
            num_buckets=bins, eval_config=config, **vars(self)
        )


def _per_key(create: Callable[..., Computations]) -> Callable[..., Computations]:
    """A function of `_Where`, configuration and the metric's settings, as TFMA calls it."""

    # TFMA looks at the names of the arguments.
    def computations(
        eval_config: EvalConfig = None,
        model_name: str = "",
        output_name: str = "",
        sub_key: tfma.metrics.SubKey | None = None,
        example_weighted: bool = False,
        code: str = "",
        **settings: Any,
    ) -> Computations:
        where = _Where(model_name, output_name, sub_key, example_weighted)
        return create(where, eval_config, **settings)

    return metric_util.merge_per_key_computations(computations)


def _derived(
    key: tfma.metrics.MetricKey, computations: Computations, figure: Figure
) -> Computations:
    """A metric out of what the last of some computations leaves."""
    source = computations[-1].keys[-1]

    def result(metrics: Metrics) -> dict[tfma.metrics.MetricKey, float]:
        return {key: figure(metrics[source])}

    return [*computations, tfma.metrics.DerivedMetricComputation(keys=[key], result=result)]


def _at_operating_point(where: _Where, config: EvalConfig, name: str) -> Computations:
    figure = figures.AT_OPERATING_POINT[name]

    def found(matrices: binary_confusion_matrices.Matrices) -> float:
        counts = (matrices.tp, matrices.fp, matrices.tn, matrices.fn)
        return figure(figures.Confusion(*(count[0] for count in counts)))

    # Any threshold between the decisions 0 and 1 will do.
    counted = binary_confusion_matrices.binary_confusion_matrices(
        thresholds=[0.5], eval_config=config, **vars(where)
    )
    return _derived(where.key(name), counted, found)


def _over_thresholds(where: _Where, config: EvalConfig, name: str) -> Computations:
    figure = figures.OVER_THRESHOLDS[name]
    return _derived(
        where.key(name), where.histogram(config), lambda found: figure(*_over_bins(found))
    )


def _calibration_error(where: _Where, config: EvalConfig, name: str) -> Computations:
    return _derived(where.key(name), where.histogram(config, BINS), _gap_of_bins)


def _over_bins(
    histogram: calibration_histogram.Histogram,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """True and false positives, by rising threshold: from below every probability to above."""
    positives = np.array([bucket.weighted_labels for bucket in histogram])
    negatives = np.array([bucket.weighted_examples for bucket in histogram]) - positives
    return _at_or_above(positives), _at_or_above(negatives)


def _at_or_above(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.append(np.cumsum(counts[::-1])[::-1], 0)


def _gap_of_bins(histogram: calibration_histogram.Histogram) -> float:
    gaps = [0.0] * BINS
    images = 0.0
    for bucket in histogram:
        # TFMA's buckets count from 1, and a probability of 1 has one of its own.
        number = min(bucket.bucket_id, BINS) - 1
        gaps[number] += bucket.weighted_predictions - bucket.weighted_labels
        images += bucket.weighted_examples
    return sum(map(abs, gaps)) / images


def _brier(where: _Where, config: EvalConfig, name: str) -> Computations:
    key = where.key(name)
    combiner = _BrierCombiner(key, config)
    return [tfma.metrics.MetricComputation(keys=[key], preprocessors=None, combiner=combiner)]


class _BrierCombiner(beam.CombineFn):
    """The sum of squared distances, and the number of images."""

    def __init__(self, key: tfma.metrics.MetricKey, config: EvalConfig):
        self._key = key
        self._config = config

    def create_accumulator(self) -> tuple[float, int]:
        return 0.0, 0

    def add_input(
        self, accumulator: tuple[float, int], element: tfma.metrics.StandardMetricInputs
    ) -> tuple[float, int]:
        total, images = accumulator
        for label, prediction, _ in metric_util.to_label_prediction_example_weight(
            element,
            eval_config=self._config,
            model_name=self._key.model_name,
            output_name=self._key.output_name,
            sub_key=self._key.sub_key,
        ):
            total += float(prediction.item() - label.item()) ** 2
            images += 1
        return total, images

    def merge_accumulators(self, accumulators: Iterable[tuple[float, int]]) -> tuple[float, int]:
        totals, images = zip(*accumulators, strict=True)
        return sum(totals), sum(images)

    def extract_output(self, accumulator: tuple[float, int]) -> dict[tfma.metrics.MetricKey, float]:
        total, images = accumulator
        return {self._key: total / images}


def _macro(where: _Where, _: EvalConfig, name: str, of: str, classes: int) -> Computations:
    key = where.key(name)
    of_class = [where.of_class(class_id).key(of) for class_id in range(classes)]

    def result(metrics: Metrics) -> dict[tfma.metrics.MetricKey, float]:
        return {key: figures.mean_of_defined([metrics[one] for one in of_class])}

    return [tfma.metrics.DerivedMetricComputation(keys=[key], result=result)]


def _auc_gap(
    where: _Where, config: EvalConfig, name: str, fewest: int, classes: int
) -> Computations:
    key, compared = where.key(name), where.key(f"{name}_compared")
    findings = [where] if classes == 1 else [where.of_class(number) for number in range(classes)]
    # The same that the AUCs are made of: TFMA counts once.
    counted = [finding.histogram(config) for finding in findings]
    sources = [computations[-1].keys[-1] for computations in counted]

    def compare(one: Metrics, other: Metrics) -> dict[tfma.metrics.MetricKey, float]:
        pairs = [(_over_bins(one[source]), _over_bins(other[source])) for source in sources]
        gaps = [
            figures.auc(*first) - figures.auc(*second)
            for first, second in pairs
            if _enough(*first, fewest) and _enough(*second, fewest)
        ]
        return {key: sum(gaps) / len(gaps) if gaps else 0.0, compared: float(len(gaps))}

    comparison = metric_types.CrossSliceMetricComputation(
        keys=[key, compared], cross_slice_comparison=compare
    )
    return [*(one for computations in counted for one in computations), comparison]


def _enough(found: NDArray[np.float64], alarms: NDArray[np.float64], fewest: int) -> bool:
    # Everything is above the first threshold.
    return min(found[0], alarms[0]) >= fewest
