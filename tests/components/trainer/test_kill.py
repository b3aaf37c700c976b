"""A Trainer that is killed, with kill -9, is taken up again and makes the model it would have."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import pytest

from tests.components.trainer.conftest import read_contract
from tests.components.trainer.networks import same
from tests.components.trainer.samples import SIDE, make_example, write_records

# A Trainer with a small network, batches and shards. It waits at a line, to be killed there.
TRAINER = """
import json, logging, sys, time

class Printed(logging.Handler):
    def emit(self, record):
        print(record.getMessage(), flush=True)
        if sys.argv[2] and record.getMessage().startswith(sys.argv[2]):
            time.sleep(600)

from components import progress
progress.LOGGER.addHandler(Printed())
from tfx import v1 as tfx
from components.trainer import activation_cache, frozen_part, index
from components.trainer.backbones import BACKBONES
from components.trainer.run_fn import run_fn
from tests.components.trainer.conftest import SMALL
activation_cache._SHARD, frozen_part.BATCH, index.BATCH = 8, 4, 4
BACKBONES["DenseNet121"] = SMALL
run_fn(tfx.components.FnArgs(**json.loads(sys.argv[1])))
"""

SETTINGS: dict[str, Any] = {
    "weights": "none",
    "trainable": "last_block",
    "epochs": 4,
    "head": {"units": 8},
    "fine_tuning": {"epochs": 4, "learning_rate": 1e-3},
    "augmentation": {"views": 1},
    "imbalance": "oversample",
    "batch_size": 8,
}


def run_trainer(
    root: Path, records: Path, transform_graph: Path, stop_at: str | None = None
) -> list[str]:
    """Run it to the end, or kill it at a line; gives the lines of its progress."""
    arguments = {
        "train_files": [str(records / "Split-train" / "*")],
        "eval_files": [str(records / "Split-val" / "*")],
        "transform_output": str(transform_graph),
        "serving_model_dir": str(root / "Format-Serving"),
        "model_run_dir": str(root / "logs"),
        "custom_config": {
            # So small a cache that all is evicted but what this training needs.
            "settings": SETTINGS | {"cache": {"folder": str(root / "cache"), "max_gib": 1e-9}},
            "labels": "pneumonia",
            "image_size": SIDE,
            "preprocessing": "as tested",
            "code": "as tested",
        },
    }
    lines = []
    with subprocess.Popen(
        [sys.executable, "-c", TRAINER, json.dumps(arguments), stop_at or ""],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line.strip())
            if stop_at and line.startswith(stop_at):
                process.kill()
    assert process.returncode == (-signal.SIGKILL if stop_at else 0)
    return lines


def first_of(lines: list[str], what: str) -> int:
    """Where the first report of a step stands; 0 where there is none."""
    return next((int(line.split(" of ")[0]) for line in lines if what in line), 0)


@pytest.mark.slow
def test_killed_in_every_phase_it_goes_on_and_makes_the_same_model(
    tmp_path: Path, transform_graph: Path
) -> None:
    films = [make_example(number, number % 2) for number in range(64)]
    write_records(tmp_path / "records" / "Split-train", films[:40])
    write_records(tmp_path / "records" / "Split-val", films[40:])
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"

    def run(root: Path, stop_at: str | None = None) -> list[str]:
        return run_trainer(root, tmp_path / "records", transform_graph, stop_at)

    steps = ("train images", "view 1", "val images", "epochs, head", "epochs, fine-tuning")
    whole = run(undisturbed)
    assert [first_of(whole, step) for step in steps] == [4, 4, 4, 1, 1]

    run(killed, stop_at="20 of 40 train images")
    second = run(killed, stop_at="24 of 40 images, view 1")
    assert first_of(second, "train images") == 16 + 4, "two shards were kept"
    third = run(killed, stop_at="3 of 4 epochs, head")
    assert first_of(third, "train images") == 0
    assert first_of(third, "view 1") > 4
    fourth = run(killed, stop_at="3 of 4 epochs, fine-tuning")
    assert first_of(fourth, "view 1") == first_of(fourth, "val images") == 0
    assert first_of(fourth, "epochs, head") == 3
    last = run(killed)
    assert first_of(last, "epochs, head") == 0
    assert first_of(last, "epochs, fine-tuning") == 3

    assert read_contract(killed / "Format-Serving") == read_contract(undisturbed / "Format-Serving")
    one, two = (
        keras.models.load_model(root / "saved_models" / "densenet121.keras").get_weights()
        for root in (undisturbed, killed)
    )
    assert same(one, two)
    assert not list((killed / "cache" / "unfinished").iterdir())
