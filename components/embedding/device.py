"""What a worker process may use of its machine."""

from __future__ import annotations

import fcntl
import functools
import os
import tempfile
from pathlib import Path
from typing import IO

import tensorflow as tf

from components import progress

# Open for as long as the process lives: who ends, in whichever way, lets go of its device.
_held: list[IO[bytes]] = []


def bound_threads(threads: int) -> None:
    """Have TensorFlow use so many cores in this process: for N workers on N cores."""
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    except RuntimeError as error:  # it has started
        progress.warn(f"embedding.threads is not applied: {error}")


@functools.cache
def take_device(names: tuple[str, ...], folder: Path | None = None) -> str | None:
    """One of the machine's devices, which no other worker process has, for this process's life.

    Args:
      names: of the devices, such as TensorFlow's logical GPUs.
      folder: of the locks, the same for all workers of a machine.

    Returns:
      None where there is nothing to choose. Where there are more workers than devices, they share.
    """
    if len(names) < 2:
        return None
    folder = folder or Path(tempfile.gettempdir())
    for number, name in enumerate(names):
        lock = (folder / f"cxr-embedder-{os.getuid()}-{number}.lock").open("wb")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
        else:
            _held.append(lock)
            return name
    return names[os.getpid() % len(names)]
