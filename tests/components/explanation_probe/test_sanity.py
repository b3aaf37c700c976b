"""How alike maps are, and networks that forget."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from scipy.stats import spearmanr

from components.explanation_probe import sanity
from components.explanation_probe.randomised import forget, restored
from components.trainer.classifier import BACKBONE, HEAD, build_classifier, build_head


def test_rank_correlation_is_spearmans() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.random((2, 7, 7)).round(1)  # with ties
    expected = spearmanr(one.ravel(), other.ravel()).statistic
    assert sanity.rank_correlation(one, other) == pytest.approx(expected)
    assert sanity.rank_correlation(one, 3 * one + 1) == pytest.approx(1)
    assert sanity.rank_correlation(one, -one) == pytest.approx(-1)
    assert sanity.rank_correlation(one, np.zeros((7, 7))) == 0


def test_structural_similarity_of_like_and_unlike_maps() -> None:
    rng = np.random.default_rng(1)
    one, other = rng.random((2, 7, 7))
    assert sanity.ssim(one, one) == pytest.approx(1)
    # Each map as a share of its own maximum.
    assert sanity.ssim(one, 5 * one) == pytest.approx(1)
    assert sanity.ssim(one, one + 0.05 * other) > 0.9
    assert sanity.ssim(one, other) == pytest.approx(sanity.ssim(other, one))
    assert sanity.ssim(one, other) < 0.6
    assert sanity.ssim(one, np.zeros((7, 7))) < 0.2


def test_maps_of_different_films_are_compared_in_a_round() -> None:
    rising = np.arange(9.0).reshape(3, 3)
    assert sanity.between_films([rising, rising, -rising]) == pytest.approx([1, -1, -1])


@pytest.fixture(scope="module")
def classifier() -> keras.Model:
    keras.utils.set_random_seed(1)
    image = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(4, 3, name="conv1")(image)
    x = keras.layers.BatchNormalization(name="bn")(x)
    backbone = keras.Model(image, x, name=BACKBONE)
    return build_classifier(backbone, build_head(4, units=3, dropout=0.0, l2=0.0))


def test_a_network_forgets_from_the_head_downwards_and_remembers_afterwards(
    classifier: keras.Model,
) -> None:
    before = classifier.get_weights()
    convolution = classifier.get_layer(BACKBONE).get_layer("conv1")
    hidden = classifier.get_layer(HEAD).get_layer("hidden")
    kernels = [layer.get_weights()[0] for layer in (convolution, hidden)]
    with restored(classifier):
        stages = forget(classifier, "a network without blocks", seed=1)
        assert next(stages) == "head"
        assert (convolution.get_weights()[0] == kernels[0]).all()
        assert (hidden.get_weights()[0] != kernels[1]).any()
        assert next(stages) == "all layers"
        shuffled = convolution.get_weights()[0]
        assert (shuffled != kernels[0]).any()
        # The same values, elsewhere.
        assert sorted(shuffled.ravel()) == sorted(kernels[0].ravel())
        assert list(stages) == []
    for one, other in zip(before, classifier.get_weights(), strict=True):
        assert (one == other).all()


def test_weights_come_back_when_something_goes_wrong(classifier: keras.Model) -> None:
    before = classifier.get_weights()

    def go_wrong() -> None:
        with restored(classifier):
            next(forget(classifier, "", seed=1))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        go_wrong()
    assert all((a == b).all() for a, b in zip(before, classifier.get_weights(), strict=True))


def test_the_last_block_of_a_registered_backbone_is_a_step_of_its_own() -> None:
    from components.trainer.backbones import build_backbone

    backbone = build_backbone("MobileNetV3Small", image_size=32, weights="none", seed=1)
    head = build_head(backbone.output_shape[-1], units=2, dropout=0.0, l2=0.0)
    network = build_classifier(backbone, head)
    leaves = {one.name: one for one in backbone._flatten_layers() if one.get_weights()}
    first, last = leaves["conv"], leaves["conv_1"]
    kernels = first.get_weights()[0], last.get_weights()[0]
    stages = forget(network, "MobileNetV3Small", seed=1)
    next(stages)
    assert (last.get_weights()[0] == kernels[1]).all()
    assert next(stages) == "head and last block"
    assert (first.get_weights()[0] == kernels[0]).all()
    assert (last.get_weights()[0] != kernels[1]).any()
    assert list(stages) == ["all layers"]
    assert (first.get_weights()[0] != kernels[0]).any()
