"""The second phase: what of the backbone learns, and that it is as if all of it had been run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from components.trainer import imbalance as imbalances
from components.trainer.batches import Batches, Split, in_memory
from components.trainer.classifier import POOL, build_classifier, build_head
from components.trainer.fitting import Phase, fit
from components.trainer.imbalance import balance
from components.trainer.network import build_network
from components.trainer.training import Trained, Workplace, fine_tune, predict_logits
from tests.components.trainer.networks import (
    TRAINING,
    VALIDATION,
    by_name,
    labels_of,
    make_settings,
    pixels,
    prepare,
    same,
    train_in,
    weights_of,
)
from tests.components.trainer.samples import SIDE

pytestmark = pytest.mark.usefixtures("small_registry")

BLOCKS = ("convolution", "convolution_2")
STATISTICS = ("moving_mean", "moving_variance")


@pytest.mark.parametrize(
    ("trainable", "learning"),
    [("head", ()), ("last_block", BLOCKS[1:]), ("last_2_blocks", BLOCKS), ("all", BLOCKS)],
)
def test_the_unfrozen_blocks_learn_and_nothing_else(
    tmp_path: Path, trainable: str, learning: tuple[str, ...]
) -> None:
    settings = make_settings(trainable=trainable)
    before = by_name(build_network(settings, SIDE).backbone)

    network, trained = train_in(tmp_path, settings)

    changed = {
        path
        for path, value in by_name(network.backbone).items()
        if not np.array_equal(value, before[path])
    }
    expected = {
        path
        for path in before
        for block in learning
        if path.split("/")[-2] in (block, block.replace("convolution", "normalisation"))
        and path.split("/")[-1] not in STATISTICS
    }
    assert changed == expected
    assert ("fine-tuning" in trained.phases) == bool(learning)


def test_it_lowers_the_validation_loss_and_tells_the_logits_of_what_it_kept(tmp_path: Path) -> None:
    network, trained = train_in(tmp_path, make_settings())

    assert min(trained.phases["fine-tuning"]["val_loss"]) < min(trained.phases["head"]["val_loss"])
    classifier = build_classifier(network.backbone, trained.head)
    scores = classifier.predict(pixels(VALIDATION), verbose=0)
    np.testing.assert_allclose(tf.sigmoid(trained.validation_logits), scores, atol=5e-4)


def test_what_does_not_lower_the_validation_loss_is_not_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = make_settings(
        epochs=20, learning_rate=0.01, fine_tuning={"epochs": 2, "learning_rate": 3.0}
    )
    network, trained = train_in(tmp_path, settings)

    assert min(trained.phases["fine-tuning"]["val_loss"]) > min(trained.phases["head"]["val_loss"])
    assert "fine-tuning did not lower the validation loss" in caplog.text
    assert same(
        network.backbone.get_weights(), build_network(settings, SIDE).backbone.get_weights()
    )
    logits = predict_logits(trained.head, prepare(network, VALIDATION).embeddings)
    np.testing.assert_allclose(trained.validation_logits, logits, atol=1e-4)


def test_a_loss_that_is_not_a_number_names_the_setting(tmp_path: Path) -> None:
    settings = make_settings(fine_tuning={"epochs": 9, "learning_rate": 1e30})

    with pytest.raises(imbalances.TrainingError, match=r"trainer\.fine_tuning\.learning_rate"):
        train_in(tmp_path, settings)


@pytest.mark.parametrize("trainable", ["last_block", "all"])
def test_two_trainings_end_with_the_same_bits(tmp_path: Path, trainable: str) -> None:
    settings = make_settings(trainable=trainable)
    one, two = (weights_of(*train_in(tmp_path / name, settings, views=1)) for name in "ab")

    before = build_network(settings, SIDE).backbone.get_weights()
    assert same(one, two)
    assert not same(one[: len(before)], before), "else it would say nothing"


def test_views_are_learnt_from(tmp_path: Path) -> None:
    """Without the views, fine-tuning would end with other weights."""
    settings = make_settings()
    network = build_network(settings, SIDE)
    viewed = prepare(network, TRAINING, views=2)
    assert viewed.activations is not None
    drawn: list[int] = []
    rows = viewed.activations.rows

    def noting(indices: np.ndarray, view: int) -> np.ndarray:
        drawn.extend([view] * len(indices))
        return rows(indices, view)

    fine_tune_alone(tmp_path, network, Split(noting, viewed.activations.labels, 2))

    assert np.bincount(drawn, minlength=3)[1:].min() > 10


def fine_tune_alone(folder: Path, network: Any, split: Split, **changes: Any) -> keras.Model:
    """Fine-tune with a head that was not trained before; gives the head."""
    settings = make_settings(**changes)
    keras.utils.set_random_seed(5)
    head = build_head(8, units=8, dropout=0.0, l2=0.01)
    (folder / "unfinished").mkdir(parents=True)
    validation = prepare(network, VALIDATION).activations
    assert validation is not None
    fine_tune(
        network.suffix,
        head,
        split,
        validation,
        balance(split.labels, ("pneumonia",), settings),
        settings,
        Workplace(folder / "unfinished", folder / "logs"),
    )
    return head


@pytest.mark.parametrize("trainable", ["last_block", "last_2_blocks"])
def test_from_the_cached_activations_it_is_as_if_the_whole_network_had_been_run(
    tmp_path: Path, trainable: str
) -> None:
    """The plain way: the whole network in fit, its first blocks frozen, from the images."""
    settings = make_settings(trainable=trainable)
    network = build_network(settings, SIDE)
    activations = prepare(network, TRAINING).activations
    assert activations is not None
    head = fine_tune_alone(tmp_path / "cached", network, activations, trainable=trainable)

    whole = build_network(settings, SIDE).backbone
    (small,) = (layer for layer in whole.layers if isinstance(layer, keras.Model))
    layers = [layer.name for layer in small.layers]
    first = layers.index(BLOCKS[1] if trainable == "last_block" else BLOCKS[0])
    for layer in small.layers[:first]:
        layer.trainable = False
    keras.utils.set_random_seed(5)
    plain_head = build_head(8, units=8, dropout=0.0, l2=0.01)
    plain = Plain(whole, plain_head)
    imbalance = balance(activations.labels, ("pneumonia",), settings)
    plain.compile(
        keras.optimizers.Adam(settings.fine_tuning.learning_rate),
        imbalances.loss(imbalance, settings),
        metrics=[keras.metrics.AUC(from_logits=True, name="auc")],
    )
    images = {"train": TRAINING, "val": VALIDATION}
    splits = {
        name: Split(in_memory([pixels(numbers)]), labels_of(numbers))
        for name, numbers in images.items()
    }
    phase = Phase(
        name="plain",
        epochs=settings.fine_tuning.epochs,
        patience=settings.fine_tuning.patience,
        reduce_lr_on_plateau=False,
        setting="",
        state=tmp_path / "plain.state",
        log_dir=tmp_path / "plain",
    )
    train = Batches(
        splits["train"], settings.batch_size, order=lambda epoch: imbalance.order(1, epoch)
    )
    fit(plain, train, Batches(splits["val"], settings.batch_size), phase)

    for found, expected in (
        (by_name(network.backbone), by_name(whole)),
        (
            dict(enumerate(head.get_weights())),
            dict(enumerate(plain_head.get_weights())),
        ),
    ):
        for left, right in zip(found.values(), expected.values(), strict=True):
            np.testing.assert_allclose(left, right, atol=5e-4)
    fresh = by_name(build_network(settings, SIDE).backbone)
    moved = max(np.abs(fresh[path] - value).max() for path, value in by_name(whole).items())
    assert moved > 5e-3, "else it would say nothing"


class Plain(keras.Model):
    """Batch normalisation in inference mode, the rest as fit says."""

    def __init__(self, backbone: keras.Model, head: keras.Model):
        super().__init__()
        self.backbone = backbone
        self.pool = keras.layers.GlobalAveragePooling2D(name=POOL)
        self.head = head

    def call(self, images: Any, training: bool = False) -> Any:
        return self.head(self.pool(self.backbone(images, training=False)), training=training)


def train_densenet(folder: Path) -> tuple[list[np.ndarray], Trained]:
    settings = make_settings(fine_tuning={"epochs": 2, "learning_rate": 1e-4})
    network, trained = train_in(folder, settings)
    return weights_of(network, trained), trained


@pytest.mark.slow
def test_two_trainings_of_a_deep_network_end_with_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()  # DenseNet121 in its own place

    one, trained = train_densenet(tmp_path / "a")
    two, _ = train_densenet(tmp_path / "b")

    assert same(one, two)
    assert len(one) > 600
    assert len(trained.phases["fine-tuning"]["loss"]) == 2
