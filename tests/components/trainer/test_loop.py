"""Two processes on loopback learn what one does, from the same batches."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.trainer import cluster
from components.trainer.fitting import History
from tests.components.trainer.networks import make_settings, same, train_in, weights_of

# float32 sums of a batch in another order; Adam magnifies them where a gradient is nearly zero.
LOSS = 1e-6
WEIGHTS = 2e-5

EXACT: dict[str, Any] = {"head": {"units": 8, "dropout": 0.0, "l2": 0.01}, "epochs": 3}
# 40 images: the last batch has 4, and one worker's share of it is short.
CASES: dict[str, dict[str, Any]] = {
    "class weights, a short batch": EXACT | {"batch_size": 9, "imbalance": "class_weight"},
    # Of two workers, one has nothing in the last batch.
    "oversampled, an empty share": EXACT
    | {
        "batch_size": 13,
        "imbalance": "oversample",
        "trainable": "head",
        "reduce_lr_on_plateau": True,
        "patience": 2,
    },
    "focal, so many steps": EXACT
    | {"imbalance": "focal", "trainable": "head", "max_steps": 7, "epochs": 9},
    "with dropout": EXACT | {"head": {"units": 8, "dropout": 0.5}, "trainable": "head"},
}

WORKER = """
import json, pickle, sys
from pathlib import Path
from components.trainer.cluster import from_environment
from components.trainer.workers import Workers
own = from_environment()
workers = Workers(own, timeout=120)
from components.trainer.backbones import BACKBONES, Backbone
from tests.components.trainer.networks import make_settings, train_in, weights_of
from tests.components.trainer.samples import SMALL_BLOCKS, small_network
BACKBONES["DenseNet121"] = Backbone(small_network, "imagenet", SMALL_BLOCKS)
found = {}
for name, changes in json.loads(sys.argv[1]).items():
    folder = Path(sys.argv[2]) / name
    network, trained = train_in(folder, make_settings(**changes), views=1, workers=workers)
    found[name] = weights_of(network, trained), trained.phases, trained.validation_logits
(Path(sys.argv[2]) / f"{own.index}.pickle").write_bytes(pickle.dumps(found))
"""

Outcome = tuple[list[np.ndarray], dict[str, History], np.ndarray]


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Outcome], Path]:
    """What either of two workers ended with, and where they wrote."""
    folder = tmp_path_factory.mktemp("together")
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for one in cluster.on_loopback(2):
            with (folder / f"{one.index}.log").open("w") as log:
                processes.append(
                    subprocess.Popen(
                        [sys.executable, "-c", WORKER, json.dumps(CASES), str(folder)],
                        env=os.environ | one.environment,
                        stdout=subprocess.DEVNULL,
                        stderr=log,
                    )
                )
        for index, process in enumerate(processes):
            assert process.wait(300) == 0, (folder / f"{index}.log").read_text()[-3000:]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    found = [pickle.loads((folder / f"{index}.pickle").read_bytes()) for index in (0, 1)]
    for name in CASES:
        weights, phases, logits = found[0][name]
        assert same(weights, found[1][name][0]), "all workers have the same weights"
        assert phases == found[1][name][1], "and saw the same figures"
        np.testing.assert_array_equal(logits, found[1][name][2])
    return found[0], folder


@pytest.mark.usefixtures("small_registry")
@pytest.mark.parametrize("name", [name for name in CASES if name != "with dropout"])
def test_two_workers_learn_what_one_device_does(
    tmp_path: Path, together: tuple[dict[str, Outcome], Path], name: str
) -> None:
    network, trained = train_in(tmp_path, make_settings(**CASES[name]), views=1)

    weights, phases, logits = together[0][name]

    assert phases.keys() == trained.phases.keys()
    for phase, history in trained.phases.items():
        assert phases[phase].keys() == history.keys()
        for figure, values in history.items():
            # A threshold of the AUC may fall between two sums of the same numbers.
            off = 0.01 if figure.endswith("auc") else LOSS
            np.testing.assert_allclose(phases[phase][figure], values, rtol=off, atol=off)
    for found, expected in zip(weights, weights_of(network, trained), strict=True):
        np.testing.assert_allclose(found, expected, atol=WEIGHTS)
    np.testing.assert_allclose(logits, trained.validation_logits, atol=1e-4)


def test_with_dropout_they_learn_together(together: tuple[dict[str, Outcome], Path]) -> None:
    losses = together[0]["with dropout"][1]["head"]["val_loss"]

    assert losses[-1] < losses[0]


def test_of_so_many_steps_none_is_more(together: tuple[dict[str, Outcome], Path]) -> None:
    # 40 images in batches of 8: five steps, and two more.
    assert len(together[0]["focal, so many steps"][1]["head"]["loss"]) == 2


def test_the_chief_alone_writes(together: tuple[dict[str, Outcome], Path]) -> None:
    _, folder = together
    for name in CASES:
        assert not list((folder / name / "unfinished").glob("*.tmp"))
        logs = list((folder / name / "logs" / "head").rglob("events.out*"))
        assert len(logs) == 2, "of training and of validation, by one process"


def test_whoever_waits_for_a_worker_that_does_not_come_ends_in_time() -> None:
    script = """
from components.trainer.cluster import from_environment
from components.trainer.workers import Workers
Workers(from_environment(), timeout=2)
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | cluster.on_loopback(2)[1].environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == -signal.SIGALRM
