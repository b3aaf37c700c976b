"""Half precision and several devices: the same training, in float32 weights."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from components.trainer import devices
from components.trainer.network import build_network
from components.trainer.settings import Devices
from tests.components.trainer.networks import by_name, make_settings, train_in, weights_of
from tests.components.trainer.samples import SIDE

CHANGES: dict[str, Any] = {"head": {"units": 8, "dropout": 0.0}, "imbalance": "none"}


def deviation(found: list[np.ndarray], plain: list[np.ndarray], before: list[np.ndarray]) -> float:
    """How far the backbone's weights ended from the plain ones, as a share of their way there."""
    for left, right in zip(found, plain, strict=True):
        assert left.dtype == right.dtype
    off, way = (
        sum(float(np.square(one - other).sum()) for one, other in zip(pair, plain, strict=False))
        for pair in (found[: len(before)], before)
    )
    return (off / way) ** 0.5


def statistics(network: Any) -> dict[str, np.ndarray]:
    return {path: value for path, value in by_name(network).items() if "moving" in path}


@pytest.mark.usefixtures("small_registry")
@pytest.mark.parametrize("trainable", ["last_block", "all"])
def test_in_mixed_precision_it_learns_nearly_the_same(tmp_path: Path, trainable: str) -> None:
    settings = make_settings(trainable=trainable, **CHANGES)
    before = build_network(settings, SIDE).backbone
    plain = train_in(tmp_path / "plain", settings)

    mixed = train_in(
        tmp_path / "mixed", settings.model_copy(update={"devices": Devices(mixed_precision=True)})
    )

    off = deviation(weights_of(*mixed), weights_of(*plain), before.get_weights())
    assert 0 < off < 0.25
    for path, value in statistics(mixed[0].backbone).items():
        np.testing.assert_array_equal(value, statistics(before)[path])
    # Its first steps find the loss's scale, and learn nothing.
    losses, expected = (one[1].phases["fine-tuning"]["val_loss"] for one in (mixed, plain))
    assert losses[-1] < losses[0]
    assert losses[-1] == pytest.approx(expected[-1], abs=0.05)


MIRRORED = """
import json, sys
from pathlib import Path
import numpy as np
import tensorflow as tf
cpu, = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from components.trainer.backbones import BACKBONES
from components.trainer.devices import _strategy
from components.trainer.settings import Devices
from tests.components.trainer.conftest import SMALL
from tests.components.trainer.networks import make_settings, train_in, weights_of
BACKBONES["DenseNet121"] = SMALL
changes, folder = json.loads(sys.argv[1]), Path(sys.argv[2])
assert _strategy(Devices(strategy="mirrored")).num_replicas_in_sync == 2
network, trained = train_in(folder, make_settings(devices={"strategy": "mirrored"}, **changes))
np.savez(folder / "weights.npz", *weights_of(network, trained))
"""


@pytest.mark.usefixtures("small_registry")
def test_mirrored_on_two_devices_it_learns_nearly_the_same(tmp_path: Path) -> None:
    settings = make_settings(**CHANGES)
    before = build_network(settings, SIDE).backbone.get_weights()
    plain = weights_of(*train_in(tmp_path / "plain", settings))

    done = subprocess.run(
        [sys.executable, "-c", MIRRORED, json.dumps(CHANGES), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr[-3000:]
    with np.load(tmp_path / "weights.npz") as file:
        mirrored = [file[f"arr_{number}"] for number in range(len(plain))]
    assert deviation(mirrored, plain, before) < 0.01


def test_memory_growth_that_comes_too_late_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As TensorFlow answers where an earlier node of the process has used the GPU."""
    asked = []

    def too_late(gpu: Any, enable: bool) -> None:
        asked.append((gpu, enable))
        raise RuntimeError("Physical devices cannot be modified after being initialized")

    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [f"{kind}:0"])
    monkeypatch.setattr(tf.config.experimental, "set_memory_growth", too_late)

    devices.prepare(Devices())

    assert asked == [("GPU:0", True)]
    assert "trainer.devices.memory_growth is not applied: Physical devices" in caplog.text


def test_several_workers_in_half_precision_are_refused() -> None:
    with pytest.raises(ValueError, match="leave mixed_precision off, or choose mirrored"):
        Devices(strategy="multi_worker", mixed_precision=True)
