"""The classification report as scikit-learn prints it, from a confusion matrix."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from components.evaluator.judgement import Confusion


@dataclasses.dataclass(frozen=True)
class ClassFigures:
    """One line.

    Attributes:
      name: of the class, or of the average.
      precision: share of the images decided so that are so; None if none was decided so.
      recall: share of the images that are so that were decided so; None if none is so.
      f1: harmonic mean of both; None if either is.
      support: images that are so.
    """

    name: str
    precision: float | None
    recall: float | None
    f1: float | None
    support: int


@dataclasses.dataclass(frozen=True)
class ClassificationReport:
    """All lines.

    Attributes:
      classes: the negative and the positive class.
      averages: `macro avg`, each class counting the same, and `weighted avg`, by its support.
      accuracy: share of right decisions; None without an image.
      support: all images.
    """

    classes: tuple[ClassFigures, ClassFigures]
    averages: tuple[ClassFigures, ClassFigures]
    accuracy: float | None
    support: int


def classification_report(counts: Confusion, class_names: tuple[str, str]) -> ClassificationReport:
    """The figures of both classes at the operating point.

    As `sklearn.metrics.classification_report`, but undefined figures are None, not 0, and so are
    the averages over them.

    Args:
      counts: of the images.
      class_names: of the negative and the positive class.
    """
    tp, fp = counts.true_positives, counts.false_positives
    tn, fn = counts.true_negatives, counts.false_negatives
    classes = (
        _figures(class_names[0], right=tn, decided=tn + fn, labelled=tn + fp),
        _figures(class_names[1], right=tp, decided=tp + fp, labelled=tp + fn),
    )
    total = tp + fp + tn + fn
    supports = [one.support for one in classes]
    return ClassificationReport(
        classes=classes,
        averages=(
            _average("macro avg", classes, [1, 1], total),
            _average("weighted avg", classes, supports, total),
        ),
        accuracy=_ratio(tp + tn, total),
        support=total,
    )


def _figures(name: str, *, right: int, decided: int, labelled: int) -> ClassFigures:
    return ClassFigures(
        name=name,
        precision=_ratio(right, decided),
        recall=_ratio(right, labelled),
        f1=_ratio(2 * right, decided + labelled) if decided and labelled else None,
        support=labelled,
    )


def _average(
    name: str, classes: Sequence[ClassFigures], weights: Sequence[int], support: int
) -> ClassFigures:
    def mean(values: Sequence[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        if len(known) < len(values) or not sum(weights):
            return None
        return sum(w * value for w, value in zip(weights, known, strict=True)) / sum(weights)

    return ClassFigures(
        name=name,
        precision=mean([one.precision for one in classes]),
        recall=mean([one.recall for one in classes]),
        f1=mean([one.f1 for one in classes]),
        support=support,
    )


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
