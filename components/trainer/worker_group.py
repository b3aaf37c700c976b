"""The Trainer's part in a training by several workers: it starts them, and waits for the chief."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path

from components import progress, storage
from components.errors import InputError
from components.trainer import cluster
from components.trainer.cluster import Cluster
from components.trainer.inputs import Given, Inputs
from components.trainer.training import Trained, Workplace
from components.trainer.worker import EXIT_INPUT, Spec, read_result
from components.trainer.workers import LATE

_LOOK_EVERY = 0.1  # seconds
# Who sees a worker die dies soon after; who died first is known when all have.
_LAST_WORDS = 2.0  # seconds


def train_on_workers(given: Given, inputs: Inputs, workplace: Workplace) -> Trained:
    """Train in processes of their own: those of TF_CONFIG, or so many as the settings say here.

    TF_CONFIG must name this process as the chief. The others are then `components.trainer.worker`
    on their machines, and find what to train in the cache folder.

    Args:
      given: what decides the training.
      inputs: the same, opened; the trained weights go into its network.
      workplace: of the chief.

    Raises:
      InputError: if TF_CONFIG names another worker than the chief; if a worker fails, or is not in
        time.
    """
    found = cluster.from_environment()
    if found is not None and found.index:
        raise InputError(
            f"TF_CONFIG names this process worker {found.index}, and the Trainer is the chief: "
            "start `python -m components.trainer.worker FOLDER` here"
        )
    with storage.scratch() as result:
        mine = [found] if found else cluster.on_loopback(given.settings.devices.workers)
        spec = Spec(
            given=given,
            key=inputs.key,
            unfinished=workplace.unfinished.absolute(),
            log_dir=workplace.log_dir.absolute(),
            result=result,
        )
        told = (given.cache_root if found else result) / mine[0].spec_name
        spec.write(told)
        try:
            _run(mine, told.parent, result)
        finally:
            told.unlink(missing_ok=True)
        trained, backbone = read_result(result)
    inputs.network.backbone.set_weights(backbone)
    return trained


def _run(mine: list[Cluster], folder: Path, logs: Path) -> None:
    """Start workers, and wait until all have ended well, or one has not."""
    processes: list[subprocess.Popen[str]] = []
    try:
        for one in mine:
            with (logs / f"{one.index}.log").open("w") as log:
                processes.append(
                    subprocess.Popen(
                        [sys.executable, "-m", "components.trainer.worker", folder, "--leashed"],
                        env=os.environ | one.environment,
                        stdin=subprocess.PIPE,
                        stdout=subprocess.DEVNULL if one.index else subprocess.PIPE,
                        stderr=log,
                        text=True,
                    )
                )
        chief = processes[0]
        assert chief.stdout is not None
        threading.Thread(target=_retell, args=(chief.stdout,), daemon=True).start()
        while any(process.poll() is None for process in processes):
            if any(process.poll() for process in processes):
                time.sleep(_LAST_WORDS)
                break
            time.sleep(_LOOK_EVERY)
        _raise_failure([process.poll() for process in processes], logs)
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _raise_failure(codes: list[int | None], logs: Path) -> None:
    """Say which worker failed first, as far as can be told, and what it said last."""
    failed = [(code, index) for index, code in enumerate(codes) if code]
    if not failed:
        return
    code, index = min(failed, key=lambda one: _rank(one[0]))
    lines = (logs / f"{index}.log").read_text("utf-8", "replace").strip().splitlines()
    last = lines[-1] if lines else ""
    if code == EXIT_INPUT:
        raise InputError(last)
    how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
    if code == -LATE:
        how = "waited for the others longer than trainer.devices.timeout: they are dead or late"
        last = ""
    raise InputError(
        f"worker {index} of {len(codes)} {how}{': ' if last else ''}{last}; run again, and the "
        "training goes on after its last whole epoch"
    )


def _rank(code: int) -> int:
    """What tells most comes first; at a death TensorFlow ends the others with SIGABRT."""
    if code == EXIT_INPUT:
        return 0
    if code == -LATE:
        return 3
    return 1 if code < 0 and code != -signal.SIGABRT else 2


def _retell(lines: Iterable[str]) -> None:
    """The chief's progress, as if it were this process's own."""
    for line in lines:
        try:
            told = json.loads(line)
        except ValueError:  # something that a library printed
            continue
        if isinstance(told, str):
            progress.warn(told)
        elif isinstance(told, dict):
            progress.report(**told)
