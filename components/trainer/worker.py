"""One of the processes that train together.

    TF_CONFIG='{"cluster": ..., "task": ...}' python -m components.trainer.worker FOLDER

It waits until the Trainer, which is the chief, has written into the folder what to train and has
begun, trains its share, and ends; started again, it waits for the next training. The Trainer starts
its own such process, since TensorFlow must join the others before it does anything else; and on one
machine those of the others.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import pickle
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from components import progress
from components.errors import InputError
from components.plain import Plain
from components.trainer import cluster, devices
from components.trainer.classifier import HEAD
from components.trainer.imbalance import TrainingError
from components.trainer.inputs import Given, open_inputs
from components.trainer.tasks import TASKS
from components.trainer.training import Trained, Workplace, train
from components.trainer.workers import Workers

EXIT_INPUT = 3  # an error that the user can mend: its last line says which

_LOOK_EVERY = 0.5  # seconds
_HEAD_FILE = f"{HEAD}.keras"
_REST_FILE = "trained.pickle"


class Spec(Plain):
    """What the chief tells the others.

    Attributes:
      given: what decides the training.
      key: of it, as the chief found it.
      unfinished: folder of states; all workers see it.
      log_dir: of the chief, for TensorBoard.
      result: folder of the chief.
    """

    given: Given
    key: str
    unfinished: Path
    log_dir: Path
    result: Path

    def write(self, file: Path) -> None:
        """Have it appear whole."""
        file.parent.mkdir(parents=True, exist_ok=True)
        aside = file.with_suffix(f".{os.getpid()}.tmp")
        aside.write_text(self.model_dump_json(), "utf-8")
        aside.rename(file)


def read_result(folder: Path) -> tuple[Trained, list[np.ndarray]]:
    """What the chief trained: all but the backbone, and the backbone's weights."""
    head = keras.saving.load_model(folder / _HEAD_FILE, compile=False)
    with (folder / _REST_FILE).open("rb") as file:
        rest, backbone = pickle.load(file)
    return Trained(head=head, **rest), backbone


def main(arguments: Sequence[str] | None = None) -> int:
    """Train this worker's share; gives the process's exit code."""
    parser = argparse.ArgumentParser(prog="python -m components.trainer.worker")
    parser.add_argument("folder", type=Path, help="trainer.cache.folder, which all workers see")
    parser.add_argument(
        "--leashed", action="store_true", help="end when standard input does: with who started it"
    )
    asked = parser.parse_args(arguments)
    if asked.leashed:
        threading.Thread(target=_end_with_parent, daemon=True).start()
    progress.LOGGER.addHandler(_Tell())
    try:
        own = cluster.from_environment()
        if own is None:
            raise InputError("TF_CONFIG is not set: it says which worker of which cluster this is")
        os.environ.update(own.environment)  # where TensorFlow looks whom to join
        _train(own, _await(own, asked.folder))
    except InputError as error:
        print(" ".join(str(error).split("\n")), file=sys.stderr, flush=True)
        return EXIT_INPUT
    return 0


def _train(own: cluster.Cluster, spec: Spec) -> None:
    given = spec.given
    devices.prepare(given.settings.devices)
    workers = Workers(own, timeout=given.settings.devices.timeout)
    inputs = open_inputs(given)
    if inputs.key != spec.key:
        raise TrainingError(
            f"worker {own.index} sees other images, weights or code than worker 0: start all of "
            "them with the same image and the same volumes"
        )
    # A volume may show one worker an older spec than another.
    workers.agree([int(inputs.key[start : start + 5], 16) for start in range(0, 30, 5)])
    trained = train(
        inputs.network,
        inputs.splits["train"],
        inputs.splits["val"],
        TASKS[given.config["labels"]].outputs,
        given.settings,
        Workplace(spec.unfinished, spec.log_dir, workers),
        start=inputs.head,
    )
    if workers.is_chief:
        trained.head.save(spec.result / _HEAD_FILE)
        rest = {name: value for name, value in vars(trained).items() if name != "head"}
        with (spec.result / _REST_FILE).open("wb") as file:
            pickle.dump((rest, inputs.network.backbone.get_weights()), file)
    # Who leaves early takes the connection from who still uses it.
    with workers.waiting():
        workers.gathered(np.zeros(1, np.float32))


def _await(own: cluster.Cluster, folder: Path) -> Spec:
    """What to train, once it is known: the chief may have hours of other nodes before it.

    A killed chief leaves its spec behind. One that trains listens, and wrote its own before.
    """
    file = folder / own.spec_name
    while True:
        if own.index == 0 or (file.exists() and own.chief_listens()):
            # The chief takes it away when it is done, maybe just now.
            with contextlib.suppress(FileNotFoundError):
                return Spec.model_validate_json(file.read_text("utf-8"))
        time.sleep(_LOOK_EVERY)


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(1)


class _Tell(logging.Handler):
    """Progress as lines of JSON on standard output, for who started this process."""

    def emit(self, record: logging.LogRecord) -> None:
        said = record.msg
        told = vars(said) if isinstance(said, progress.Progress) else record.getMessage()
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    # At once: TensorFlow takes its leave of the others at length, and not always in peace.
    os._exit(code)
