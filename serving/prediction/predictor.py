"""What a prediction is, which images it is made from, and how a batch survives a bad one.

`Predictor` is the policy shared by every way to reach a model (`serving.saved_model` in this
process, `serving.client` over the network): bounded batches, outputs checked against the
contract of the exported model, and one bad image never costs the others their answer.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeAlias, TypeVar

import numpy as np

SIGNATURE = "serving_default"
INPUT = "image_bytes"
OUTPUTS = ("probability", "decision", "label")
DEFAULT_BATCH_SIZE = 32

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg"})
_MAGIC_BYTES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")

T = TypeVar("T")


@dataclass(frozen=True)
class Prediction:
    """The model's answer for one image.

    Attributes:
      source: the image's file, or the name its caller gave it.
      probability: calibrated probability of the positive class, in [0, 1], float32 precision.
      decision: 1 when the probability reaches the model's operating point, else 0.
      label: the decision's class name.
    """

    source: str
    probability: float
    decision: int
    label: str


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
    """

    source: str
    findings: list[Finding]


# What a model answers depends on its kind, and is the same for all images.
Answer: TypeAlias = Prediction | FindingsPrediction


@dataclass(frozen=True)
class Failure:
    """An image without a prediction, and why."""

    source: str
    reason: str

    def __str__(self) -> str:
        return f"{self.source}: {self.reason}"


@dataclass(frozen=True)
class Outcome:
    """Predictions and failures of one call, each in the order of the images."""

    predictions: list[Answer]
    failures: list[Failure]


class PredictionError(Exception):
    """Base of every error that `serving` raises on purpose."""


class ImagesNotFoundError(PredictionError):
    """A path that does not exist, or a folder without images."""


class BadImageError(PredictionError):
    """One or more images cannot be read, decoded or scored.

    Attributes:
      failures: one per bad image.
    """

    def __init__(self, *failures: Failure) -> None:
        super().__init__("; ".join(str(failure) for failure in failures))
        self.failures = failures


class BatchRefusedError(PredictionError):
    """The model refused a batch because of its images; `Predictor` finds out which."""


class ModelNotFoundError(PredictionError):
    """No model, version or version label by that name."""


class ModelContractError(PredictionError):
    """A model was found, but its signature is not the one that `serving` speaks."""


class MissingOutputError(ModelContractError, KeyError):
    """The model's answer lacks an output; the message names those it has."""

    # KeyError shows the repr of its argument, which would put the message in quotes.
    __str__ = Exception.__str__


class Predictor(ABC):
    """Turns encoded images into predictions; a subclass says where the model runs.

    A context manager: leaving the block closes what `close` closes.

    Attributes:
      model: which model answers, for people to read.
      batch_size: the most images that reach the model in one call.
    """

    def __init__(self, model: str, batch_size: int = DEFAULT_BATCH_SIZE) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        self.model = model
        self.batch_size = batch_size

    @property
    def threshold(self) -> float | None:
        """The model's operating point; None where it cannot be known, as over a network."""
        return None

    @property
    def thresholds(self) -> Mapping[str, float]:
        """The operating points by the names of the model's outputs; empty where unknown."""
        return {}

    @abstractmethod
    def run(self, images: Sequence[bytes]) -> Mapping[str, Any]:
        """Runs the model once.

        Args:
          images: N encoded JPEG or PNG files, 1 <= N <= `batch_size`.

        Returns:
          The signature's outputs by name, each an array or list of shape [N]; of a multi-label
          model, [N, findings].

        Raises:
          BatchRefusedError: an image among them cannot be used.
          PredictionError: anything else that keeps the model from answering.
        """

    def close(self) -> None:  # noqa: B027  (nothing to close is a fine default)
        """Releases connections; the predictor cannot be used afterwards."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def predict(
        self, images: Sequence[bytes], sources: Sequence[str] | None = None
    ) -> list[Answer]:
        """Predicts every image, or raises.

        Args:
          images: encoded JPEG or PNG files, any number.
          sources: a name per image for predictions and errors; "image 0", ... by default.

        Returns:
          One prediction per image, in order.

        Raises:
          BadImageError: names every image that cannot be used.
          MissingOutputError, ModelContractError: the model breaks its contract.
          PredictionError: anything else that keeps the model from answering.
        """
        if sources is None:
            sources = [f"image {i}" for i in range(len(images))]
        named = list(zip(sources, images, strict=True))
        answers = [a for batch in _batches(named, self.batch_size) for a in self._answers(batch)]
        outcome = _outcome(answers)
        if outcome.failures:
            raise BadImageError(*outcome.failures)
        return outcome.predictions

    def predict_files(self, paths: Sequence[Path]) -> Outcome:
        """Predicts every file it can; no more than one batch of them is in memory at a time.

        Args:
          paths: image files, as `find_images` lists them.

        Returns:
          A prediction or a failure for every path. A batch that the model refuses is run
          again image by image, so that only the bad ones fail.

        Raises:
          MissingOutputError, ModelContractError: the model breaks its contract.
          PredictionError: anything else that keeps the model from answering.
        """
        answers: list[Answer | Failure] = []
        for batch in _batches(paths, self.batch_size):
            files = [_read_or_failure(path) for path in batch]
            readable = iter(self._answers([f for f in files if not isinstance(f, Failure)]))
            answers += [f if isinstance(f, Failure) else next(readable) for f in files]
        return _outcome(answers)

    def _answers(self, images: Sequence[tuple[str, bytes]]) -> list[Answer | Failure]:
        if not images:
            return []
        try:
            outputs = self.run([content for _, content in images])
        except BatchRefusedError as error:
            if len(images) == 1:
                return [Failure(images[0][0], f"the model cannot use this image: {error}")]
            return [answer for image in images for answer in self._answers([image])]
        return _predictions(outputs, [source for source, _ in images])


def find_images(paths: Sequence[Path]) -> list[Path]:
    """Lists the image files that `paths` stand for, each once.

    Args:
      paths: files, taken as given whatever their suffix, and folders, searched recursively
        for .png, .jpg and .jpeg in either case.

    Returns:
      The files, in the order of `paths` and sorted within each folder. Their content is not
      looked at: `read_image` does that, so that one bad file stops nothing but itself.

    Raises:
      ImagesNotFoundError: a path does not exist, or a folder holds no image.
    """
    files: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            found = sorted(file for file in path.rglob("*") if _is_image_of(path, file))
            if not found:
                raise ImagesNotFoundError(f"{path}: no .png, .jpg or .jpeg file in this folder")
            files.update(dict.fromkeys(found))
        elif path.exists():
            files[path] = None
        else:
            raise ImagesNotFoundError(f"{path}: no such file or folder")
    return list(files)


def read_image(path: Path) -> bytes:
    """Reads an encoded image, deciding by its content whether it can be one.

    Raises:
      BadImageError: the file cannot be read, or is neither PNG nor JPEG; says what to do.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadImageError(Failure(str(path), f"cannot be read: {error.strerror}")) from error
    if not content.startswith(_MAGIC_BYTES):
        reason = (
            f"not a PNG or JPEG image but {_kind(content)}; "
            "convert it to 8-bit PNG or JPEG, or leave it out"
        )
        raise BadImageError(Failure(str(path), reason))
    return content


def refusal(message: str) -> str:
    """The cause in an error message of TensorFlow's, without the graph around it."""
    bare = re.sub(r"\{\{function_node [^}]*\}\}|\[\[.*?\]\]|\[Op:[^]]*\]", "", message)
    lines = [re.sub(r"^\(\d+\)\s+[A-Z_]+:", "", line.strip()).strip() for line in bare.splitlines()]
    causes = [line for line in lines if line and not _GRAPH_CHATTER.match(line)]
    return " ".join(dict.fromkeys(causes)) or message.strip()


_GRAPH_CHATTER = re.compile(
    r"Graph execution error|Detected at node|<stack traces|Function call stack|File \"|"
    r"\d+ (root error|successful operations|derived errors)"
)

# What people hand in instead of a PNG or JPEG, by first bytes at an offset.
_OTHER_KINDS = (
    (128, b"DICM", "a DICOM file"),
    (0, b"GIF8", "a GIF"),
    (0, b"BM", "a BMP"),
    (0, b"II*\x00", "a TIFF"),
    (0, b"MM\x00*", "a TIFF"),
    (8, b"WEBP", "a WebP"),
    (0, b"%PDF", "a PDF"),
)


def _kind(content: bytes) -> str:
    if not content:
        return "an empty file"
    for offset, magic, kind in _OTHER_KINDS:
        if content.startswith(magic, offset):
            return kind
    try:
        content[:1024].decode("ascii")
    except UnicodeDecodeError:
        return "data of an unknown kind"
    return "text"


def _is_image_of(folder: Path, file: Path) -> bool:
    # Archives packed on a Mac, the public pediatric set's among them, carry a "._x.jpeg"
    # of metadata for every x.jpeg.
    hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
    return not hidden and file.suffix.lower() in IMAGE_SUFFIXES and file.is_file()


def _read_or_failure(path: Path) -> tuple[str, bytes] | Failure:
    try:
        return str(path), read_image(path)
    except BadImageError as error:
        return error.failures[0]


def _predictions(outputs: Mapping[str, Any], sources: Sequence[str]) -> list[Answer | Failure]:
    missing = [name for name in OUTPUTS if name not in outputs]
    if missing:
        raise MissingOutputError(
            f"the model's answer lacks {', '.join(missing)}; "
            f"it has {', '.join(sorted(outputs)) or 'nothing'}"
        )
    columns = [np.asarray(outputs[name]) for name in OUTPUTS]
    # One finding, or several along a second axis that the outputs have in common.
    expected = (len(sources), *columns[0].shape[1:2])
    for name, column in zip(OUTPUTS, columns, strict=True):
        if column.shape != expected:
            raise ModelContractError(
                f"{name} has shape {list(column.shape)} for {len(sources)} images; one value per "
                "image was expected, or, of every output alike, one per image and finding"
            )
    predict = _prediction if len(expected) == 1 else _findings
    return [predict(source, *row) for source, *row in zip(sources, *columns, strict=True)]


def _prediction(source: str, probability: Any, decision: Any, label: Any) -> Prediction | Failure:
    value = _probability(probability)
    if value is None:
        return Failure(source, f"the model answers {probability}, which is no probability")
    return Prediction(source, value, int(decision), _text(label))


def _findings(
    source: str, probabilities: Any, decisions: Any, names: Any
) -> FindingsPrediction | Failure:
    findings = []
    for row in zip(probabilities, decisions, names, strict=True):
        probability, decision, name = row[0], int(row[1]), _text(row[2])
        value = _probability(probability)
        if value is None:
            reason = f"the model answers {probability} for {name}, which is no probability"
            return Failure(source, reason)
        findings.append(Finding(name, value, decision))
    return FindingsPrediction(source, findings)


def _probability(value: Any) -> float | None:
    # Through float32, so that JSON's 0.2 and a tensor's 0.2 are the same number.
    probability = float(np.float32(value))
    # Every comparison with NaN is false: unchecked, it would be decided as the negative class.
    return probability if 0 <= probability <= 1 else None


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _outcome(answers: Sequence[Answer | Failure]) -> Outcome:
    return Outcome(
        [answer for answer in answers if not isinstance(answer, Failure)],
        [answer for answer in answers if isinstance(answer, Failure)],
    )


def _batches(items: Sequence[T], size: int) -> list[Sequence[T]]:
    return [items[start : start + size] for start in range(0, len(items), size)]
