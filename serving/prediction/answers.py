"""What a model answers for an image."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Prediction:
    """The model's answer for one image.

    Attributes:
      source: the image's file, or the name its caller gave it.
      probability: calibrated probability of the positive class, in [0, 1], float32 precision.
      decision: 1 when the probability reaches the model's operating point, else 0.
      label: the decision's class name.
      quality: why the answer may not be worth much: codes of `serving.prediction.quality`;
        empty when nothing is amiss, or when the model does not check its images.
    """

    source: str
    probability: float
    decision: int
    label: str
    quality: tuple[str, ...] = ()


@dataclass(frozen=True)
class Finding:
    """A multi-label model's answer for one finding on one image.

    Attributes:
      name: of the finding.
      probability: calibrated probability that it is there, in [0, 1], float32 precision.
      decision: 1 when the probability reaches the finding's own operating point, else 0.
    """

    name: str
    probability: float
    decision: int


@dataclass(frozen=True)
class FindingsPrediction:
    """A multi-label model's answer for one image.

    Attributes:
      source: the image's file, or the name its caller gave it.
      findings: all that the model tells, in its order, present or not.
      quality: as of `Prediction`.
    """

    source: str
    findings: list[Finding]
    quality: tuple[str, ...] = ()


# What a model answers depends on its kind, and is the same for all images.
Answer: TypeAlias = Prediction | FindingsPrediction


@dataclass(frozen=True, eq=False)
class Explanation:
    """An answer, and where on the image the model found it.

    Attributes:
      answer: the prediction.
      heatmap: evidence for the positive class in logits, never negative, float32 [h, w]; of a
        multi-label model for each finding, [findings, h, w].
      overlay_png: the heat map drawn on the image, an RGB PNG at the image's aspect ratio.
      explained: the finding that the overlay shows; empty for a model of one finding.
    """

    answer: Answer
    heatmap: NDArray[np.float32]
    overlay_png: bytes
    explained: str

    @property
    def source(self) -> str:
        """The image's file, or the name its caller gave it."""
        return self.answer.source


@dataclass(frozen=True)
class Failure:
    """An image without an answer, and why."""

    source: str
    reason: str

    def __str__(self) -> str:
        return f"{self.source}: {self.reason}"


A_co = TypeVar("A_co", covariant=True)


@dataclass(frozen=True)
class Outcome(Generic[A_co]):
    """Answers and failures of one call, each in the order of the images."""

    predictions: list[A_co]
    failures: list[Failure]

    @classmethod
    def of(cls, answers: Iterable[A_co | Failure]) -> Outcome[A_co]:
        """Tells the answers from the failures."""
        predictions: list[A_co] = []
        failures: list[Failure] = []
        for answer in answers:
            if isinstance(answer, Failure):
                failures.append(answer)
            else:
                predictions.append(answer)
        return cls(predictions, failures)
