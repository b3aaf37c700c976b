"""An evaluation of TFMA's, ready to be shown."""

from __future__ import annotations

import base64
import dataclasses
import gzip
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.slicer import slicer_lib
from tensorflow_model_analysis.view import util

from components import storage
from components.evaluator.results import slice_name
from components.example_gen import record

# TFMA's metrics by output, then class, then name; each a message as JSON.
Metrics = Mapping[str, Mapping[str, Mapping[str, Mapping[str, Any]]]]

NOT_A_NUMBER = "NaN"
# As protocol buffers write them in JSON.
_NOT_FINITE = (NOT_A_NUMBER, "Infinity", "-Infinity")

_CLASS_ID = "classId:"
_MATRICES = "confusionMatrixAtThresholds"
_COUNTS = ("truePositives", "falsePositives", "trueNegatives", "falseNegatives")
# What TFMA's plots read of a confusion matrix.
_PLOTTED = ("threshold", *_COUNTS, "precision", "recall")
_MAX_MATRICES = 250
_DIGITS = 6


@dataclasses.dataclass(frozen=True)
class Slice:
    """The metrics of some images.

    Attributes:
      name: of the slice, in words.
      metrics: by output, then class (empty for a model's only one), then name.
    """

    name: str
    metrics: Metrics


@dataclasses.dataclass(frozen=True)
class Plots:
    """The data of all plots of one class on one slice.

    Attributes:
      slice_name: in words.
      of: the output, and the class if it is one of several.
      defined: whether there are images of both classes; without them there are no curves.
      packed: JSON for `tfma-nb-plot`, by gzip and Base64.
    """

    slice_name: str
    of: str
    defined: bool
    packed: str


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What TFMA found on one split.

    Attributes:
      slices: all images first, then by the number of features and by name.
      plots: in the same order.
      weights: the metric that says how many images a slice has.
    """

    slices: tuple[Slice, ...]
    plots: tuple[Plots, ...]
    weights: str


def load_evaluation(uri: str) -> Evaluation:
    """Read an evaluation.

    Classes bear the names of findings, and a figure that the images do not define is no number.

    Args:
      uri: of a ModelEvaluation artifact.
    """
    with storage.local_copy(uri) as folder:
        result = tfma.load_eval_result(str(folder))
    slices = [
        Slice(_name(key), _named_classes(metrics))
        for key, metrics in _in_order(result.slicing_metrics)
    ]
    plots = [one for key, outputs in _in_order(result.plots) for one in _plots(_name(key), outputs)]
    weights = util.get_slicing_config(result.config)["weightedExamplesColumn"]
    return Evaluation(tuple(slices), tuple(plots), weights)


def number(metric: Mapping[str, Any]) -> float | None:
    """The value of a metric: NaN if it is not defined, None if it is no single number."""
    (value,) = metric.values()
    if isinstance(value, Mapping):
        value = value.get("value")
    return float(value) if isinstance(value, int | float) or value in _NOT_FINITE else None


def bounds(metric: Mapping[str, Any]) -> tuple[float, float] | None:
    """The confidence interval of a metric that has one."""
    bounded = metric.get("boundedValue")
    if bounded is None:
        return None
    return float(bounded["lowerBound"]), float(bounded["upperBound"])


def _in_order(results: Sequence[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    # A comparison of two slices is none itself.
    single = [one for one in results if not slicer_lib.is_cross_slice_key(one[0])]
    return sorted(single, key=lambda one: (len(one[0]), _name(one[0])))


def _name(key: Sequence[tuple[str, Any]]) -> str:
    return slice_name({feature: str(value) for feature, value in key})


def _named_classes(metrics: Metrics) -> Metrics:
    return {
        # In the order of the classes: TFMA's own is that of text, 0, 1, 10, 11, ...
        output: {_class_name(one): classes[one] for one in sorted(classes, key=_class_number)}
        for output, classes in metrics.items()
    }


def _class_number(class_id: str) -> int:
    return int(class_id.removeprefix(_CLASS_ID)) if class_id.startswith(_CLASS_ID) else -1


def _class_name(class_id: str) -> str:
    """The finding of `classId:0`; with TFMA's colon, by which its components find the name."""
    position = _class_number(class_id)
    return class_id if position < 0 else f"finding:{record.PATHOLOGIES[position]}"


def _plots(
    name: str, outputs: Mapping[str, Mapping[str, Mapping[str, Any]]] | None
) -> Iterator[Plots]:
    # None where no plots were asked for.
    for output, classes in (outputs or {}).items():
        for class_id in sorted(classes, key=_class_number):
            data = dict(classes[class_id])
            finding = _class_name(class_id).partition(":")[2]
            matrices = data.pop(_MATRICES, {}).get("matrices", [])
            defined = _has_both_classes(matrices)
            # TFMA would draw what is not defined as 0.
            if defined:
                data[_MATRICES] = {"matrices": thin(matrices)}
            yield Plots(
                slice_name=name,
                of=", ".join(part for part in (output, finding) if part),
                defined=defined,
                packed=_pack(data),
            )


def _has_both_classes(matrices: Sequence[Mapping[str, Any]]) -> bool:
    # At the lowest threshold every image is called positive.
    lowest = matrices[0] if matrices else {}
    return all(lowest.get(count) for count in ("truePositives", "falsePositives"))


def thin(matrices: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """No more confusion matrices than a plot can show, of a thousand thresholds.

    Of neighbours with equal counts the first and the last stay; then, of too many, every n-th, the
    first and the last.
    """

    def counts(index: int) -> list[float]:
        return [matrices[index].get(name, 0) for name in _COUNTS]

    last = len(matrices) - 1
    turns = [
        index
        for index in range(len(matrices))
        if index in (0, last) or not counts(index - 1) == counts(index) == counts(index + 1)
    ]
    stride = math.ceil(len(turns) / _MAX_MATRICES) or 1
    kept = turns[:-1][::stride] + turns[-1:]
    return [
        {name: matrices[index][name] for name in _PLOTTED if name in matrices[index]}
        for index in kept
    ]


def _pack(data: Mapping[str, Any]) -> str:
    text = json.dumps(_rounded(data), separators=(",", ":"))
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode("ascii")


def _rounded(data: Any) -> Any:
    """The same with as many digits as a plot can show."""
    if isinstance(data, Mapping):
        return {name: _rounded(value) for name, value in data.items()}
    if isinstance(data, list):
        return [_rounded(value) for value in data]
    return float(f"{data:.{_DIGITS}g}") if isinstance(data, float) else data
