"""How images become answers, whoever carries them to the model: the policy without the I/O."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Generic, TypeAlias, TypeVar

from serving.prediction.answers import Failure
from serving.prediction.errors import BadImageError, BatchRefusedError
from serving.prediction.images import Image, encode_image
from serving.prediction.outputs import Outputs, Question

A = TypeVar("A")
T = TypeVar("T")

# An image and its name.
Named: TypeAlias = tuple[str, Image]


class Exchange(Generic[A]):
    """Asks a model of some images, of which a bad one costs only its own answer.

    A batch that the model refuses is asked again image by image. Whoever drives an exchange asks
    the model of `pending`, and passes on what came of it, as long as anything is pending:

        exchange.begin()
        while exchange.pending is not None:
            exchange.receive(run(exchange.pending, exchange.signature))
        return exchange.answers

    Attributes:
      signature: of the model, that is to be asked.
      pending: encoded images that the model is to be asked of; None when all are answered.
      answers: an answer or a failure for each image, in order; complete when nothing is pending.
    """

    def __init__(self, question: Question[A], images: Sequence[Named]) -> None:
        self.signature = question.signature
        self.pending: list[bytes] | None = None
        self.answers: list[A | Failure] = []
        self._steps = _steps(question, images)

    def begin(self) -> None:
        """Reads and encodes the images; takes its time."""
        self._go_on(lambda: next(self._steps))

    def receive(self, outputs: Outputs) -> None:
        """Takes the model's outputs for what was pending."""
        self._go_on(lambda: self._steps.send(outputs))

    def refuse(self, error: BatchRefusedError) -> None:
        """Takes note that the model refused what was pending."""
        self._go_on(lambda: self._steps.throw(error))

    def _go_on(self, step: Callable[[], list[bytes]]) -> None:
        try:
            self.pending = step()
        except StopIteration as end:
            self.pending, self.answers = None, end.value


def carry(exchange: Exchange[A], run: Callable[[list[bytes], str], Outputs]) -> list[A | Failure]:
    """Drives an exchange to its end; `run` asks the model of images by a signature."""
    exchange.begin()
    while exchange.pending is not None:
        try:
            outputs = run(exchange.pending, exchange.signature)
        except BatchRefusedError as error:
            exchange.refuse(error)
        else:
            exchange.receive(outputs)
    return exchange.answers


def check_limits(*, batch_size: int, concurrency: int) -> None:
    """Raises ValueError for what is less than one."""
    for name, value in (("batch_size", batch_size), ("concurrency", concurrency)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")


def named(images: Sequence[Image], sources: Sequence[str] | None) -> list[Named]:
    """Images with their names, "image 0", ... by default."""
    if sources is None:
        sources = [f"image {number}" for number in range(len(images))]
    return list(zip(sources, images, strict=True))


def batches(items: Sequence[T], size: int) -> Iterable[Sequence[T]]:
    """The items, at most `size` at once."""
    return (items[start : start + size] for start in range(0, len(items), size))


_Steps: TypeAlias = Generator[list[bytes], Outputs, list[A | Failure]]


def _steps(question: Question[A], images: Sequence[Named]) -> _Steps[A]:
    encoded = [_encoded(source, image) for source, image in images]
    usable = [image for image in encoded if not isinstance(image, Failure)]
    answers = iter((yield from _ask(question, usable)))
    return [image if isinstance(image, Failure) else next(answers) for image in encoded]


def _ask(question: Question[A], images: Sequence[tuple[str, bytes]]) -> _Steps[A]:
    if not images:
        return []
    try:
        outputs = yield [content for _, content in images]
    except BatchRefusedError as error:
        if len(images) == 1:
            return [Failure(images[0][0], f"the model cannot use this image: {error}")]
        answers = []
        for image in images:
            answers += yield from _ask(question, [image])
        return answers
    return question.parse(outputs, [source for source, _ in images])


def _encoded(source: str, image: Image) -> tuple[str, bytes] | Failure:
    try:
        return source, encode_image(image, source)
    except BadImageError as error:
        return Failure(source, error.failures[0].reason)
