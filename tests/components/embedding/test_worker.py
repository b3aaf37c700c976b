"""A process uses all the devices that are its own, for all of Beam's threads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

# Two devices of the processor in the place of GPUs. Each thread is held inside the frozen part
# until all are there, so that none has done with its network when another asks for one.
_SCRIPT = """
import json, sys, threading
from concurrent.futures import ThreadPoolExecutor
import numpy as np
import tensorflow as tf
cpu, = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from components.embedding import worker
from components.trainer.backbones import BACKBONES
from components.trainer.frozen_part import FrozenPart
from components.trainer.settings import TrainerSettings
from components.example_gen import record
from tests.components.trainer.conftest import SMALL
from tests.components.trainer.samples import SIDE, make_example
BACKBONES["DenseNet121"] = SMALL
worker._gpus = lambda: tuple(one.name for one in tf.config.list_logical_devices("CPU"))

graph, node, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
own = worker.this_process() if node == "own" else ("elsewhere", 1)
work = worker.Work(TrainerSettings(weights="none"), SIDE, "as tested", graph, 1, 1, own)
one = worker.Worker(work)
together, used = threading.Barrier(threads, timeout=60), []
plain = FrozenPart.__call__

def call(part, images):
    together.wait()
    used.append(part._run(tf.constant(images)).device[-5:])
    return plain(part, images)

FrozenPart.__call__ = call
film = make_example(1, 0).features.feature[record.IMAGE].bytes_list.value[0]
with ThreadPoolExecutor(threads) as pool:
    rows = list(pool.map(lambda _: one.run(["a"], [film]), range(threads)))
assert all(np.array_equal(rows[0], other) for other in rows)
print(json.dumps(sorted(used)))
"""


@pytest.mark.parametrize(
    ("node", "threads", "expected"),
    [
        ("own", 3, ["CPU:0", "CPU:0", "CPU:1"]),
        # What else is on the machine may be another process's.
        ("another", 2, ["CPU:0", "CPU:0"]),
    ],
)
def test_threads_share_out_the_devices_of_their_process(
    tmp_path: Path, transform_graph: Path, node: str, threads: int, expected: list[str]
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, str(transform_graph), node, str(threads)],
        env=os.environ | {"TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout.splitlines()[-1]) == expected
