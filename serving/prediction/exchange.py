"""How images become answers, whoever carries them to the model: the policy without the I/O.

An exchange is a generator. It yields what the model is to be asked, and is sent the outputs, or
has `BatchRefusedError` thrown into it. `carry` drives one with a function; the clients of
`serving.client.aio` drive the same one with a coroutine.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from typing import TypeAlias, TypeVar

from serving.prediction.answers import Failure
from serving.prediction.errors import BadImageError, BatchRefusedError
from serving.prediction.images import Image, encode_image
from serving.prediction.outputs import Outputs, Question

A = TypeVar("A")
T = TypeVar("T")

# An image and its name.
Named: TypeAlias = tuple[str, Image]
Exchange: TypeAlias = Generator[list[bytes], Outputs, list[A | Failure]]


def ask(question: Question[A], images: Sequence[Named]) -> Exchange[A]:
    """Asks a model of some images, of which a bad one costs only its own answer.

    A batch that the model refuses is asked again image by image.

    Yields:
      Encoded images, for the question's signature.

    Returns:
      An answer or a failure for each image, in order.
    """
    encoded = [_encoded(source, image) for source, image in images]
    answers = iter((yield from _ask(question, [e for e in encoded if not isinstance(e, Failure)])))
    return [e if isinstance(e, Failure) else next(answers) for e in encoded]


def carry(exchange: Exchange[A], run: Callable[[list[bytes]], Outputs]) -> list[A | Failure]:
    """Drives an exchange to its end, with `run` as the model."""
    try:
        images = next(exchange)
        while True:
            try:
                outputs = run(images)
            except BatchRefusedError as error:
                images = exchange.throw(error)
            else:
                images = exchange.send(outputs)
    except StopIteration as end:
        return end.value


def named(images: Sequence[Image], sources: Sequence[str] | None) -> list[Named]:
    """Images with their names, "image 0", ... by default."""
    if sources is None:
        sources = [f"image {number}" for number in range(len(images))]
    return list(zip(sources, images, strict=True))


def batches(items: Sequence[T], size: int) -> Iterable[Sequence[T]]:
    """The items, at most `size` at once."""
    return (items[start : start + size] for start in range(0, len(items), size))


def _ask(question: Question[A], images: Sequence[tuple[str, bytes]]) -> Exchange[A]:
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
