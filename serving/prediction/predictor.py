"""`Predictor`: the one interface to a model, in this process or on a server."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from serving.prediction.answers import Answer, Explanation, Failure, Outcome
from serving.prediction.errors import BadImageError
from serving.prediction.exchange import Named, ask, batches, carry, named
from serving.prediction.images import Image
from serving.prediction.outputs import EXPLAIN, PREDICT, SIGNATURE, Question

DEFAULT_BATCH_SIZE = 32

A = TypeVar("A")
T = TypeVar("T")
R = TypeVar("R")


class Predictor(ABC):
    """Turns images into predictions and explanations; a subclass says where the model runs.

    A context manager: leaving the block closes what `close` closes.

    Attributes:
      model: which model answers, for people to read.
      batch_size: the most images that reach the model in one call.
      concurrency: the most calls that are under way at once.
    """

    def __init__(
        self, model: str, batch_size: int = DEFAULT_BATCH_SIZE, concurrency: int = 1
    ) -> None:
        for name, value in (("batch_size", batch_size), ("concurrency", concurrency)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        self.model = model
        self.batch_size = batch_size
        self.concurrency = concurrency

    @property
    def threshold(self) -> float | None:
        """The model's operating point; None where it cannot be known, as over a network."""
        return None

    @property
    def thresholds(self) -> Mapping[str, float]:
        """The operating points by the names of the model's outputs; empty where unknown."""
        return {}

    @abstractmethod
    def run(self, images: Sequence[bytes], signature: str = SIGNATURE) -> Mapping[str, Any]:
        """Runs the model once.

        Args:
          images: N encoded JPEG or PNG files, 1 <= N <= `batch_size`.
          signature: of the model, with `image_bytes` as its only input.

        Returns:
          The signature's outputs by name, each an array or list of shape [N, ...].

        Raises:
          BatchRefusedError: an image among them cannot be used.
          MissingSignatureError: the model has no such signature.
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
        self, images: Sequence[Image], sources: Sequence[str] | None = None
    ) -> list[Answer]:
        """Predicts every image, or raises.

        Args:
          images: any number of encoded JPEG, PNG or DICOM files, as bytes or as paths, or of
            arrays, uint8 [height, width] or, as RGB, [height, width, 3].
          sources: a name per image for predictions and errors; "image 0", ... by default.

        Returns:
          One prediction per image, in order.

        Raises:
          BadImageError: names every image that cannot be used.
          MissingOutputError, ModelContractError: the model breaks its contract.
          PredictionError: anything else that keeps the model from answering.
        """
        return self._all(PREDICT, named(images, sources))

    def explain(
        self, images: Sequence[Image], sources: Sequence[str] | None = None
    ) -> list[Explanation]:
        """Predicts every image and shows where the model found it; otherwise like `predict`.

        Raises:
          MissingSignatureError: the model was exported without explanations.
        """
        return self._all(EXPLAIN, named(images, sources))

    def predict_files(self, paths: Sequence[Path]) -> Outcome[Answer]:
        """Predicts every file it can.

        Args:
          paths: image files, as `find_images` lists them.

        Returns:
          A prediction or a failure for every path. A batch that the model refuses is run
          again image by image, so that only the bad ones fail.

        Raises:
          MissingOutputError, ModelContractError: the model breaks its contract.
          PredictionError: anything else that keeps the model from answering.
        """
        return Outcome.of(self.iter_predict(paths))

    def explain_files(self, paths: Sequence[Path]) -> Outcome[Explanation]:
        """Explains every file it can; see `predict_files` and `explain`."""
        return Outcome.of(self.iter_explain(paths))

    def iter_predict(self, paths: Sequence[Path]) -> Iterator[Answer | Failure]:
        """Like `predict_files`, each answer as it comes and in the order of the paths.

        No more than `concurrency` batches are in memory at a time.
        """
        return self._answers(PREDICT, [(str(path), path) for path in paths])

    def iter_explain(self, paths: Sequence[Path]) -> Iterator[Explanation | Failure]:
        """Like `explain_files`, as `iter_predict`."""
        return self._answers(EXPLAIN, [(str(path), path) for path in paths])

    def _all(self, question: Question[A], images: Sequence[Named]) -> list[A]:
        answers = self._answers(question, images)
        outcome: Outcome[A] = Outcome.of(answers)
        if outcome.failures:
            raise BadImageError(*outcome.failures)
        return outcome.predictions

    def _answers(self, question: Question[A], images: Sequence[Named]) -> Iterator[A | Failure]:
        def answer(batch: Sequence[Named]) -> list[A | Failure]:
            return carry(
                ask(question, batch), lambda encoded: self.run(encoded, question.signature)
            )

        for answers in _in_order(answer, batches(images, self.batch_size), self.concurrency):
            yield from answers


def _in_order(function: Callable[[T], R], items: Iterable[T], concurrency: int) -> Iterator[R]:
    """`map` with so many calls under way at once, and no item taken long before its turn."""
    if concurrency == 1:
        yield from map(function, items)
        return
    pool = ThreadPoolExecutor(concurrency)
    try:
        under_way: deque[Future[R]] = deque()
        for item in items:
            if len(under_way) == concurrency:
                yield under_way.popleft().result()
            under_way.append(pool.submit(function, item))
        while under_way:
            yield under_way.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
