"""The network, saved and loaded by plain Keras."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from components.trainer.classifier import BACKBONE, HEAD, build_classifier, build_head
from tests.components.trainer.samples import SIDE


@pytest.fixture
def classifier(small_backbone: keras.Model) -> keras.Model:
    head = build_head(8, units=4, dropout=0.5, l2=0.0)
    head.get_layer("standardise_embedding").adapt(np.random.default_rng(0).random((20, 8)))
    return build_classifier(small_backbone, head)


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(1).random((5, SIDE, SIDE, 3), np.float32)


def test_it_is_backbone_pool_head_and_sigmoid(classifier: keras.Model, images: np.ndarray) -> None:
    embeddings = classifier.get_layer(BACKBONE)(images).numpy().mean(axis=(1, 2))
    logits = classifier.get_layer(HEAD)(embeddings).numpy()

    scores = classifier(images, training=False).numpy()

    assert scores.shape == (5, 1)
    np.testing.assert_allclose(scores, 1 / (1 + np.exp(-logits)), atol=1e-5)
    assert np.ptp(scores) > 1e-3


def test_it_survives_a_save_in_plain_keras(
    classifier: keras.Model, images: np.ndarray, tmp_path: Path
) -> None:
    classifier.save(tmp_path / "cxr.keras")
    loaded = keras.models.load_model(tmp_path / "cxr.keras", safe_mode=True)

    assert loaded.get_layer(BACKBONE).output_shape == (None, 15, 15, 8)
    assert loaded.get_layer(HEAD).output_shape == (None, 1)
    np.testing.assert_allclose(
        loaded(images, training=False), classifier(images, training=False), atol=1e-6
    )


def test_several_outputs() -> None:
    head = build_head(8, units=4, dropout=0.0, l2=0.0, outputs=14)

    assert head.output_shape == (None, 14)


def test_weight_decay_counts_as_loss() -> None:
    head = build_head(8, units=4, dropout=0.0, l2=0.1)
    kernel = head.get_layer("hidden").kernel.numpy()

    assert float(sum(head.losses)) == pytest.approx(0.1 * float(np.sum(kernel**2)), rel=1e-5)
