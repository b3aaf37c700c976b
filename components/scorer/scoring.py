"""Examples through the network: a stream, in which each image runs once."""

from __future__ import annotations

import collections
import concurrent.futures
import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from components.example_gen import record
from components.scorer import features

# While one batch is in the network, the images of the next are decoded.
_AT_ONCE = 2

# Serialized Examples, [N], to probabilities, float32 [N, K], and decisions, int64 [N, K].
Model = Callable[[Sequence[bytes]], tuple[NDArray[np.float32], NDArray[np.int64]]]


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """What the models say of one image.

    Attributes:
      probability: float32 [K].
      decision: int64 [K].
      last_probability: of the last blessed model, float32 [K]; None where there is none.
      last_decision: likewise, int64 [K].
    """

    probability: NDArray[np.float32]
    decision: NDArray[np.int64]
    last_probability: NDArray[np.float32] | None = None
    last_decision: NDArray[np.int64] | None = None


def score(
    examples: Iterable[bytes],
    model: Model,
    last_model: Model | None = None,
    *,
    known: dict[str, Answer],
    batch_size: int,
) -> Iterator[tf.train.Example]:
    """Replace each image by what the models say of it.

    Memory holds a few batches, whatever the number of images, and the answers.

    Args:
      examples: serialized, as ExampleGen writes them.
      model: what is evaluated.
      last_model: the last blessed one; where it is the same, it runs once.
      known: answers by sha256, which are not asked for again; new ones are added.
      batch_size: images a step.

    Yields:
      Examples in the order they came, see `scored`.
    """
    ask = _Asking(model, last_model)
    rows: collections.deque[tf.train.Example] = collections.deque()
    running: collections.deque[tuple[list[str], concurrent.futures.Future]] = collections.deque()
    asked: set[str] = set()
    names: list[str] = []
    batch: list[bytes] = []

    def answered() -> Iterator[tf.train.Example]:
        names, future = running.popleft()
        known.update(zip(names, future.result(), strict=True))
        asked.difference_update(names)
        while rows and _sha256(rows[0]) in known:
            row = rows.popleft()
            yield scored(row, known[_sha256(row)])

    with concurrent.futures.ThreadPoolExecutor(_AT_ONCE) as pool:
        for serialized in examples:
            row = without_pixels(tf.train.Example.FromString(serialized))
            sha256 = _sha256(row)
            rows.append(row)
            if sha256 in known or sha256 in asked:
                continue
            asked.add(sha256)
            names.append(sha256)
            batch.append(serialized)
            if len(batch) == batch_size:
                running.append((names, pool.submit(ask, batch)))
                names, batch = [], []
            if len(running) > _AT_ONCE:
                yield from answered()
        # The last batch may be empty: what is left may be known already.
        running.append((names, pool.submit(ask, batch)))
        while running:
            yield from answered()


def without_pixels(example: tf.train.Example) -> tf.train.Example:
    """What an evaluation needs of an Example: who and what it shows, and the age group."""
    kept = tf.train.Example()
    values = kept.features.feature
    for name in features.KEPT:
        if name in example.features.feature:
            values[name].CopyFrom(example.features.feature[name])
    # An absent feature is an empty list.
    for years in example.features.feature[features.AGE_YEARS].int64_list.value:
        group = features.age_group(years)
        values[features.AGE_GROUP].bytes_list.value.append(group.encode())
    return kept


def scored(example: tf.train.Example, answer: Answer) -> tf.train.Example:
    """The Example with `probability` and `decision`, and those of the last blessed model."""
    values = example.features.feature
    values[features.PROBABILITY].float_list.value.extend(answer.probability)
    values[features.DECISION].int64_list.value.extend(answer.decision)
    if answer.last_probability is not None and answer.last_decision is not None:
        values[features.LAST_PROBABILITY].float_list.value.extend(answer.last_probability)
        values[features.LAST_DECISION].int64_list.value.extend(answer.last_decision)
    return example


class _Asking:
    """A batch through one model or both."""

    def __init__(self, model: Model, last_model: Model | None):
        self._model = model
        self._last_model = last_model

    def __call__(self, examples: Sequence[bytes]) -> list[Answer]:
        if not examples:
            return []
        answers = self._model(examples)
        if self._last_model is None:
            return [Answer(*row) for row in zip(*answers, strict=True)]
        last = answers if self._last_model is self._model else self._last_model(examples)
        return [Answer(*row) for row in zip(*answers, *last, strict=True)]


def _sha256(example: tf.train.Example) -> str:
    return example.features.feature[record.SHA256].bytes_list.value[0].decode()
