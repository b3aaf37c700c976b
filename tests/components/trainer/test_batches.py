"""Batches hold every image, in an order of their own, whole or as workers share them."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from components.trainer.batches import Batches, Split, in_memory


def numbered(count: int, views: int = 0) -> Split:
    """Each row says which image and which view it is."""
    images = np.arange(count, dtype=np.float32)
    arrays = [np.stack([images, np.full(count, view)], axis=1) for view in range(views + 1)]
    return Split(in_memory(arrays), images[:, None], views)


def seen(batches: Batches) -> np.ndarray:
    return np.concatenate([batches[number][0] for number in range(len(batches))])


@pytest.mark.parametrize("count", [1, 7, 8, 9])
def test_batches_hold_every_image_with_its_label(count: int) -> None:
    batches = Batches(numbered(count), 4)
    rows = seen(batches)
    labels = np.concatenate([batches[number][1] for number in range(len(batches))])

    assert rows[:, 0].tolist() == labels[:, 0].tolist() == list(range(count))
    assert max(len(batches[number][0]) for number in range(len(batches))) <= 4


def test_every_epoch_has_its_own_order_and_views_and_may_be_the_first() -> None:
    def order(epoch: int) -> np.ndarray:
        return np.random.default_rng(epoch).permutation(60)

    running = Batches(numbered(60, views=2), 8, order=order, seed=1)
    epochs = []
    for _ in range(3):
        epochs.append(seen(running))
        running.on_epoch_end()

    for number, rows in enumerate(epochs):
        taken_up = Batches(numbered(60, views=2), 8, order=order, seed=1, first_epoch=number)
        np.testing.assert_array_equal(seen(taken_up), rows)
        assert rows[:, 0].tolist() == order(number).tolist()
        assert np.bincount(rows[:, 1].astype(int)).min() > 8
    assert not np.array_equal(epochs[0][:, 1], epochs[1][:, 1])
    other = Batches(numbered(60, views=2), 8, order=order, seed=2)
    assert not np.array_equal(seen(other)[:, 1], epochs[0][:, 1])


def fetched_by_fit(first_epoch: int) -> list[list[int]]:
    """The images of each epoch of a fit up to the fourth, in order."""
    fetched: list[int] = []

    def rows(indices: np.ndarray, view: int) -> np.ndarray:
        fetched.extend(indices.tolist())
        return numbered(12).rows(indices, view)

    batches = Batches(
        Split(rows, numbered(12).labels),
        4,
        order=lambda epoch: np.random.default_rng(epoch).permutation(12),
        first_epoch=first_epoch,
    )
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(batches, epochs=4, initial_epoch=first_epoch, shuffle=False, verbose=0)
    epochs = 4 - first_epoch
    # Keras looks at some batches before it begins.
    return np.reshape(fetched[-12 * epochs :], (epochs, 12)).tolist()


def test_a_fit_taken_up_at_an_epoch_goes_through_the_same_images() -> None:
    whole = fetched_by_fit(0)

    assert all(sorted(epoch) == list(range(12)) for epoch in whole)
    assert len({tuple(epoch) for epoch in whole}) == 4
    assert fetched_by_fit(2) == whole[2:]


# --- Shares of a batch -----------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 2, 3, 5])
@pytest.mark.parametrize("count", [8, 9, 13])
def test_shares_make_up_the_batch_and_have_one_shape(count: int, workers: int) -> None:
    batches = Batches(numbered(count), 4)
    labels = []
    for number in range(len(batches)):
        shares = [batches.share(number, index, workers) for index in range(workers)]
        rows, own, weights = (np.stack(part) for part in zip(*shares, strict=True))

        assert rows.shape[:2] == own.shape[:2] == weights.shape == (workers, -(-4 // workers))
        assert weights.sum() == pytest.approx(1)
        expected = batches[number][0][:, 0]
        assert (weights[..., None] * own).sum() == pytest.approx(expected.mean())
        np.testing.assert_array_equal(batches.together(number, rows)[:, 0], expected)
        labels.extend(expected)
    np.testing.assert_array_equal(batches.labels[:, 0], labels)
