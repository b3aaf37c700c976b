"""What each worker process of Beam has once: the frozen part, on its devices."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import socket
import threading
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from components import progress
from components.embedding.device import bound_threads, take_device
from components.storage import local_copy
from components.trainer import devices
from components.trainer.activation_rows import RowFormat
from components.trainer.frozen_part import (
    FrozenPart,
    cache_name,
    frozen_part,
    kept_dtype,
    read_preprocessing,
)
from components.trainer.network import build_network
from components.trainer.settings import TrainerSettings

# Names a process, on whichever machine.
Process = tuple[str, int]


def this_process() -> Process:
    """The name of the process that asks."""
    return socket.gethostname(), os.getpid()


@dataclasses.dataclass(frozen=True)
class Work:
    """What workers are told.

    Attributes:
      settings: of the Trainer; see `embedding.settings.deciding`.
      image_size: side of the square input, in pixels.
      preprocessing: digest of Transform's source.
      transform_graph: URI of what Transform wrote.
      files: of Examples, how many.
      threads: of TensorFlow, in worker processes.
      node: the node's own process, whose threads are left alone.
    """

    settings: TrainerSettings
    image_size: int
    preprocessing: str
    transform_graph: str
    files: int
    threads: int
    node: Process


@dataclasses.dataclass
class _Network:
    """The frozen part on one device (None: TensorFlow's choice), and how many batches are in it."""

    device: str | None
    part: FrozenPart
    running: int = 0


class Worker:
    """Runs the frozen part, for all of Beam's threads in a process.

    There is one network on each of the process's devices: on all GPUs where Beam runs in the node's
    own process, since no other is there to use them; else on one, which no other process has.

    Attributes:
      part: tells the frozen part, and how its answers are kept, from others.
      format: how they are kept.
    """

    def __init__(self, work: Work):
        """Make the networks, as the Trainer makes its own.

        Raises:
          WeightsError: if the backbone's weights cannot be had.
        """
        if work.node != this_process():
            bound_threads(work.threads)
        devices.prepare(work.settings.devices)
        alone = work.node == this_process()
        own = (_gpus() or (None,)) if alone else (take_device(_gpus()),)
        with local_copy(work.transform_graph) as graph:
            self._networks = [_Network(one, _frozen_on(one, work, str(graph))) for one in own]
        part = self._networks[0].part
        self.part = cache_name(part.key, work.settings)
        self.format = RowFormat(part.shape, kept_dtype(work.settings))
        self._files = work.files
        self._lock = threading.Lock()
        self._claims: dict[str, str] = {}
        self._begun: set[str] = set()
        self._done = 0

    def claim(self, sha256: str, file: str) -> bool:
        """Whether an image is to be run from this file, and not from another that has it, too.

        Beam may give a file that failed to this process again: the claim still holds.
        """
        with self._lock:
            self._begun.add(file)
            return self._claims.setdefault(sha256, file) == file

    def run(self, sha256: Sequence[str], images: Sequence[bytes]) -> np.ndarray:
        """A batch through the frozen part; rows as they are stored.

        Raises:
          InputError: if an image gives no numbers.
        """
        with self._lent() as network, tf.device(network.device):
            rows = network.part(images)
        stored = self.format.pack(sha256, rows)
        with self._lock:
            self._done += len(images)
            done, begun = self._done, len(self._begun)
        progress.report(begun, self._files, f"files of films; {done:,} films embedded")
        return stored

    @contextlib.contextmanager
    def _lent(self) -> Iterator[_Network]:
        """The network that fewest threads are using."""
        with self._lock:
            network = min(self._networks, key=lambda one: one.running)
            network.running += 1
        try:
            yield network
        finally:
            with self._lock:
                network.running -= 1


def _gpus() -> tuple[str, ...]:
    return tuple(device.name for device in tf.config.list_logical_devices("GPU"))


def _frozen_on(device: str | None, work: Work, graph: str) -> FrozenPart:
    with tf.device(device):
        network = build_network(work.settings, work.image_size).frozen
        preprocess = read_preprocessing(graph)
        part = frozen_part(network, preprocess, work.settings, work.preprocessing)
        part.trace()
    return part
