"""`AsyncPredictor`: what `Predictor` is, for code that awaits."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from serving.prediction.answers import Answer, Explanation, Failure, Outcome
from serving.prediction.errors import BadImageError, BatchRefusedError
from serving.prediction.exchange import Exchange, Named, batches, check_limits, named
from serving.prediction.images import Image
from serving.prediction.outputs import EXPLAIN, PREDICT, SIGNATURE, Question

A = TypeVar("A")


class AsyncPredictor(ABC):
    """Turns images into predictions and explanations, without blocking the event loop.

    Every method does what the one of the same name of `Predictor` does, and raises the same.

    Attributes:
      model: which model answers, for people to read.
      batch_size: the most images that reach the model in one call.
      concurrency: the most calls that are under way at once.
    """

    def __init__(self, model: str, batch_size: int, concurrency: int) -> None:
        check_limits(batch_size=batch_size, concurrency=concurrency)
        self.model = model
        self.batch_size = batch_size
        self.concurrency = concurrency

    @abstractmethod
    async def run(self, images: Sequence[bytes], signature: str = SIGNATURE) -> Mapping[str, Any]:
        """Runs the model once; see `Predictor.run`."""

    @abstractmethod
    async def close(self) -> None:
        """Releases connections; the predictor cannot be used afterwards."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def predict(
        self, images: Sequence[Image], sources: Sequence[str] | None = None
    ) -> list[Answer]:
        """See `Predictor.predict`."""
        return await self._all(PREDICT, named(images, sources))

    async def explain(
        self, images: Sequence[Image], sources: Sequence[str] | None = None
    ) -> list[Explanation]:
        """See `Predictor.explain`."""
        return await self._all(EXPLAIN, named(images, sources))

    async def predict_files(self, paths: Sequence[Path]) -> Outcome[Answer]:
        """See `Predictor.predict_files`."""
        return Outcome.of([answer async for answer in self.iter_predict(paths)])

    async def explain_files(self, paths: Sequence[Path]) -> Outcome[Explanation]:
        """See `Predictor.explain_files`."""
        return Outcome.of([answer async for answer in self.iter_explain(paths)])

    def iter_predict(self, paths: Sequence[Path]) -> AsyncIterator[Answer | Failure]:
        """See `Predictor.iter_predict`."""
        return self._answers(PREDICT, [(str(path), path) for path in paths])

    def iter_explain(self, paths: Sequence[Path]) -> AsyncIterator[Explanation | Failure]:
        """See `Predictor.iter_explain`."""
        return self._answers(EXPLAIN, [(str(path), path) for path in paths])

    async def _all(self, question: Question[A], images: Sequence[Named]) -> list[A]:
        answers = [answer async for answer in self._answers(question, images)]
        outcome: Outcome[A] = Outcome.of(answers)
        if outcome.failures:
            raise BadImageError(*outcome.failures)
        return outcome.predictions

    async def _answers(
        self, question: Question[A], images: Sequence[Named]
    ) -> AsyncIterator[A | Failure]:
        under_way: deque[asyncio.Task[list[A | Failure]]] = deque()
        try:
            for batch in batches(images, self.batch_size):
                if len(under_way) == self.concurrency:
                    for answer in await under_way.popleft():
                        yield answer
                under_way.append(asyncio.create_task(self._carry(Exchange(question, batch))))
            while under_way:
                for answer in await under_way.popleft():
                    yield answer
        finally:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)

    async def _carry(self, exchange: Exchange[A]) -> list[A | Failure]:
        # In a thread, because files are read and films are rendered.
        await asyncio.to_thread(exchange.begin)
        while exchange.pending is not None:
            try:
                outputs = await self.run(exchange.pending, exchange.signature)
            except BatchRefusedError as error:
                exchange.refuse(error)
            else:
                exchange.receive(outputs)
        return exchange.answers
