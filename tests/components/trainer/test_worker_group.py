"""The Trainer's workers: killed, started again, and on machines of their own."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from components import progress
from components.errors import InputError
from components.trainer import cluster, worker, worker_group
from components.trainer.inputs import Given, open_inputs
from components.trainer.settings import TrainerSettings
from components.trainer.training import Workplace, train
from components.trainer.worker import Spec
from components.trainer.worker_group import train_on_workers
from tests.components.trainer.networks import same
from tests.components.trainer.samples import SIDE, make_example, write_records

EPOCHS = 4


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory, transform_graph: Path) -> Given:
    root = tmp_path_factory.mktemp("group")
    films = [make_example(number, number % 2) for number in range(44)]
    return Given(
        settings=TrainerSettings.model_validate(
            {
                "backbone": "MobileNetV3Small",
                "weights": "none",
                "head": {"units": 8, "dropout": 0.0},
                "epochs": EPOCHS,
                "batch_size": 8,
                "devices": {"strategy": "multi_worker", "workers": 2, "timeout": 60},
            }
        ),
        config={
            "labels": "pneumonia",
            "image_size": SIDE,
            "preprocessing": "as tested",
            "code": "as tested",
        },
        train_files=tuple(write_records(root / "Split-train", films[:28])),
        eval_files=tuple(write_records(root / "Split-val", films[28:])),
        transform_graph=str(transform_graph),
        base_model=None,
        cache_root=root / "cache",
    )


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The processes that the Trainer starts."""
    processes: list[Any] = []
    popen = subprocess.Popen

    def start(*args: Any, **options: Any) -> Any:
        processes.append(popen(*args, **options))
        return processes[-1]

    monkeypatch.setattr(worker_group.subprocess, "Popen", start)
    return processes


class OtherMachine:
    """A worker that somebody else starts, and whom the Training Operator tells who it is.

    Attributes:
      chief_environment: what the operator tells the chief.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        self._addresses = cluster.on_loopback(2)[0].addresses
        self.chief_environment = self._environment("chief")
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        self._processes.append(
            subprocess.Popen(
                [sys.executable, "-m", "components.trainer.worker", str(self._folder)],
                env=os.environ | self._environment("worker"),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        )

    def code(self) -> int:
        """How the worker ended."""
        return self._processes[-1].wait(60)

    def close(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()

    def _environment(self, kind: str) -> dict[str, str]:
        chief, other = self._addresses
        groups = {"chief": [chief], "worker": [other]}
        task = {"type": kind, "index": 0}
        return {"TF_CONFIG": json.dumps({"cluster": groups, "task": task, "environment": "cloud"})}


@pytest.fixture
def other_machine(given: Given) -> Iterator[OtherMachine]:
    machine = OtherMachine(given.cache_root)
    yield machine
    machine.close()


def test_after_a_kill_they_go_on_and_end_as_one_device(
    given: Given,
    tmp_path: Path,
    started: list[Any],
    monkeypatch: pytest.MonkeyPatch,
    other_machine: OtherMachine,
) -> None:
    inputs = open_inputs(given)
    workplace = Workplace(given.cache_root / "unfinished" / inputs.key, tmp_path / "logs")
    told: list[str] = []

    def report(done: int, total: int, what: str) -> None:
        told.append(f"{done} {what.split(':')[0]}")
        if "epochs, head" in what and done == 2 and len(started) == 2:
            started[1].kill()

    monkeypatch.setattr(progress, "report", report)

    with pytest.raises(InputError, match=r"worker 1 of 2 was ended by SIGKILL.*run again"):
        train_on_workers(given, inputs, workplace)
    assert all(process.poll() is not None for process in started), "none is left behind"
    before = len(told)

    other_machine.start()
    for name, value in other_machine.chief_environment.items():
        monkeypatch.setenv(name, value)
    together = train_on_workers(given, inputs, workplace)
    assert other_machine.code() == 0

    assert int(told[before].split()[0]) > 2, "what was done is not done again"
    assert not list(given.cache_root.glob("workers-*.json"))
    monkeypatch.delenv("TF_CONFIG")
    alone = train(
        inputs.network,
        inputs.splits["train"],
        inputs.splits["val"],
        ("pneumonia",),
        given.settings,
        Workplace(tmp_path / "alone", tmp_path / "alone"),
    )
    losses, expected = together.phases["head"], alone.phases["head"]
    assert len(losses["loss"]) == EPOCHS
    for figure in ("loss", "val_loss"):
        np.testing.assert_allclose(losses[figure], expected[figure], rtol=1e-6)
    for left, right in zip(together.head.get_weights(), alone.head.get_weights(), strict=True):
        np.testing.assert_allclose(left, right, atol=2e-5)
    np.testing.assert_allclose(together.validation_logits, alone.validation_logits, atol=1e-4)


def test_a_worker_that_was_done_and_starts_again_joins_the_next_training(
    given: Given, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other_machine: OtherMachine
) -> None:
    """As where the chief fails after training, and comes again."""
    inputs = open_inputs(given)
    workplace = Workplace(tmp_path / "unfinished", tmp_path / "logs")
    for name, value in other_machine.chief_environment.items():
        monkeypatch.setenv(name, value)
    other_machine.start()
    first = train_on_workers(given, inputs, workplace)
    assert other_machine.code() == 0

    other_machine.start()
    second = train_on_workers(given, inputs, workplace)

    assert other_machine.code() == 0
    assert second.phases == first.phases
    assert same(second.head.get_weights(), first.head.get_weights())


def test_what_a_killed_chief_left_is_not_trained(
    given: Given, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = cluster.on_loopback(2)[1]
    host, port = own.addresses[0].split(":")
    old, new = (
        Spec(given=given, key=key, unfinished=tmp_path, log_dir=tmp_path, result=tmp_path)
        for key in ("old", "new")
    )
    old.write(tmp_path / own.spec_name)
    looks = 0
    with contextlib.ExitStack() as stack:

        def sleep(_: float) -> None:
            nonlocal looks
            looks += 1
            assert looks <= 3, "the chief listens, and is not seen"
            if looks == 3:
                new.write(tmp_path / own.spec_name)
                stack.enter_context(socket.create_server((host, int(port))))

        monkeypatch.setattr(worker, "time", SimpleNamespace(sleep=sleep))

        assert worker._await(own, tmp_path) == new
    assert looks == 3


def test_the_trainer_must_be_the_chief(given: Given, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in cluster.on_loopback(2)[1].environment.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(InputError, match="worker 1, and the Trainer is the chief"):
        train_on_workers(given, None, None)  # type: ignore[arg-type]
