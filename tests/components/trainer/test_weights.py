"""Which weights a run gets, before it starts."""

from __future__ import annotations

import logging
import socket
from pathlib import Path

import keras
import pytest

from components.progress import LOGGER
from components.trainer import backbones
from components.trainer.backbones import WeightsError
from components.trainer.settings import TrainerSettings
from components.trainer.weights import settle_weights, weights_fingerprint
from tests.components.trainer.samples import SIDE


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> list[float | None]:
    """No network; the socket timeouts under which it was tried."""
    timeouts: list[float | None] = []

    def refuse(*args: object, weights: str | None, **kwargs: object) -> keras.Model:
        timeouts.append(socket.getdefaulttimeout())
        raise OSError("URL fetch failure")

    monkeypatch.setitem(backbones.BACKBONES, "DenseNet121", backbones.Backbone(refuse, "imagenet"))
    return timeouts


def _settle(**settings: object) -> TrainerSettings:
    return settle_weights(TrainerSettings.model_validate(settings), SIDE)


def test_random_weights_need_no_network(offline: list[float | None]) -> None:
    assert _settle(weights="none").weights == "none"
    assert offline == []


def test_without_a_network_the_run_stops_and_says_how_to_go_on(
    offline: list[float | None],
) -> None:
    with pytest.raises(WeightsError, match=r"--set trainer\.weights=FILE"):
        _settle(weights="imagenet")


def test_where_it_is_allowed_random_weights_take_their_place_loudly(
    offline: list[float | None], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, LOGGER.name):
        assert _settle(weights="imagenet", allow_random_weights=True).weights == "none"
    assert "going on with RANDOM weights" in caplog.text


def test_a_network_that_swallows_packets_is_not_waited_for(offline: list[float | None]) -> None:
    before = socket.getdefaulttimeout()
    _settle(weights="imagenet", allow_random_weights=True)
    assert offline == [10.0]
    assert socket.getdefaulttimeout() == before


def test_a_missing_file_is_no_reason_for_random_weights(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no such file"):
        _settle(weights=str(tmp_path / "none.h5"), allow_random_weights=True)


def test_a_file_counts_by_its_content(tmp_path: Path) -> None:
    file = tmp_path / "weights.h5"
    file.write_bytes(b"one")
    one = weights_fingerprint(str(file))
    file.write_bytes(b"two")
    assert weights_fingerprint(str(file)) != one
    assert weights_fingerprint("imagenet") == "imagenet"
