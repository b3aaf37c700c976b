"""Workers of one machine share it without getting in each other's way."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from components.embedding.device import take_device

GPUS = ("/device:GPU:0", "/device:GPU:1")

_WORKER = """
import sys
from pathlib import Path
from components.embedding import device
import tensorflow as tf

device.bound_threads(1)
print(device.take_device({gpus}, Path({folder!r})), flush=True)
print(device.take_device({gpus}, Path({folder!r})), flush=True)
print(tf.config.threading.get_intra_op_parallelism_threads(), flush=True)
sys.stdin.readline()
"""


def test_each_process_has_a_device_of_its_own_until_it_ends(tmp_path: Path) -> None:
    code = _WORKER.format(gpus=GPUS, folder=str(tmp_path))
    worker = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert worker.stdout
    first, again, threads = (worker.stdout.readline().strip() for _ in range(3))

    assert (first, again) == (GPUS[0], GPUS[0])
    assert threads == "1"
    assert take_device(GPUS, tmp_path) == GPUS[1]
    worker.communicate("\n")
    take_device.cache_clear()
    assert take_device(GPUS, tmp_path) == GPUS[0]


def test_more_workers_than_devices_share_them(tmp_path: Path) -> None:
    take_device.cache_clear()
    for _ in GPUS:
        take_device(GPUS, tmp_path)
        take_device.cache_clear()

    assert take_device(GPUS, tmp_path) in GPUS


def test_one_device_is_no_choice() -> None:
    assert take_device(()) is None
    assert take_device(GPUS[:1]) is None
