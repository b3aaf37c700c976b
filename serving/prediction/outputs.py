"""From a signature's outputs to answers, with the contract of the exported model checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from serving.prediction import quality
from serving.prediction.answers import (
    Answer,
    Explanation,
    Failure,
    Finding,
    FindingsPrediction,
    Prediction,
)
from serving.prediction.errors import MissingOutputError, ModelContractError

SIGNATURE = "serving_default"
EXPLAIN_SIGNATURE = "explain"
INPUT = "image_bytes"
OUTPUTS = ("probability", "decision", "label")
# Models that were exported before they checked their images have none.
QUALITY = "quality"
HEATMAP, OVERLAY, EXPLAINED = "heatmap", "overlay_png_bytes", "explained"

Outputs: TypeAlias = Mapping[str, Any]
A = TypeVar("A")


@dataclass(frozen=True)
class Question(Generic[A]):
    """What a model can be asked of its images.

    Attributes:
      signature: that answers it.
      parse: makes of the signature's outputs and the N images' names N answers.
    """

    signature: str
    parse: Callable[[Outputs, Sequence[str]], list[A | Failure]]


def _predictions(outputs: Outputs, sources: Sequence[str]) -> list[Answer | Failure]:
    _check_names(outputs, OUTPUTS)
    columns = [np.asarray(outputs[name]) for name in OUTPUTS]
    # One finding, or several along a second axis that the outputs have in common.
    expected = (len(sources), *columns[0].shape[1:2])
    for name, column in zip(OUTPUTS, columns, strict=True):
        if column.shape != expected:
            raise ModelContractError(
                f"{name} has shape {list(column.shape)} for {len(sources)} images; one value per "
                "image was expected, or, of every output alike, one per image and finding"
            )
    warnings = _per_image(outputs, QUALITY, sources) if QUALITY in outputs else [""] * len(sources)
    predict = _prediction if len(expected) == 1 else _findings
    return [
        predict(source, row, quality.codes_in(_text(warned)))
        for source, warned, *row in zip(sources, warnings, *columns, strict=True)
    ]


def _explanations(outputs: Outputs, sources: Sequence[str]) -> list[Explanation | Failure]:
    answers = _predictions(outputs, sources)
    _check_names(outputs, (HEATMAP, OVERLAY))
    heatmaps = np.asarray(outputs[HEATMAP], np.float32)
    overlays = _per_image(outputs, OVERLAY, sources)
    explained = [""] * len(sources)
    if EXPLAINED in outputs:
        explained = [_text(name) for name in _per_image(outputs, EXPLAINED, sources)]
    several = np.asarray(outputs[OUTPUTS[0]]).shape[1:]
    if heatmaps.shape[:-2] != (len(sources), *several):
        raise ModelContractError(
            f"{HEATMAP} has shape {list(heatmaps.shape)} for {len(sources)} images; one map per "
            "probability was expected"
        )
    return [
        answer if isinstance(answer, Failure) else _explanation(answer, *rest)
        for answer, *rest in zip(answers, heatmaps, overlays, explained, strict=True)
    ]


PREDICT = Question[Answer](SIGNATURE, _predictions)
EXPLAIN = Question[Explanation](EXPLAIN_SIGNATURE, _explanations)


def _check_names(outputs: Outputs, names: Sequence[str]) -> None:
    missing = [name for name in names if name not in outputs]
    if missing:
        raise MissingOutputError(
            f"the model's answer lacks {', '.join(missing)}; "
            f"it has {', '.join(sorted(outputs)) or 'nothing'}"
        )


def _per_image(outputs: Outputs, name: str, sources: Sequence[str]) -> list[Any]:
    # Objects, because NumPy's own type for bytes drops the zeros that they end in.
    column = np.asarray(outputs[name], object)
    if column.shape != (len(sources),):
        raise ModelContractError(
            f"{name} has shape {list(column.shape)} for {len(sources)} images; "
            "one value per image was expected"
        )
    return list(column)


def _prediction(source: str, row: Sequence[Any], warnings: tuple[str, ...]) -> Prediction | Failure:
    probability, decision, label = row
    value = _probability(probability)
    if value is None:
        return Failure(source, f"the model answers {probability}, which is no probability")
    return Prediction(source, value, int(decision), _text(label), warnings)


def _findings(
    source: str, rows: Sequence[Any], warnings: tuple[str, ...]
) -> FindingsPrediction | Failure:
    findings = []
    for probability, decision, label in zip(*rows, strict=True):
        name, value = _text(label), _probability(probability)
        if value is None:
            reason = f"the model answers {probability} for {name}, which is no probability"
            return Failure(source, reason)
        findings.append(Finding(name, value, int(decision)))
    return FindingsPrediction(source, findings, warnings)


def _explanation(
    answer: Answer, heatmap: NDArray[np.float32], overlay: Any, explained: str
) -> Explanation | Failure:
    if not np.isfinite(heatmap).all():
        return Failure(answer.source, "the model's heat map is not finite")
    return Explanation(answer, heatmap, bytes(overlay), explained)


def _probability(value: Any) -> float | None:
    # Through float32, so that JSON's 0.2 and a tensor's 0.2 are the same number.
    probability = float(np.float32(value))
    # Every comparison with NaN is false: unchecked, it would be decided as the negative class.
    return probability if 0 <= probability <= 1 else None


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
