"""What each worker process of Beam has once: the frozen part, on a device."""

from __future__ import annotations

import dataclasses
import os
import socket
import threading
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from components import progress
from components.embedding.device import bound_threads, take_device
from components.storage import local_copy
from components.trainer import devices
from components.trainer.activation_rows import RowFormat
from components.trainer.frozen_part import (
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


class Worker:
    """Runs the frozen part, for all of Beam's threads in a process.

    Attributes:
      part: tells the frozen part, and how its answers are kept, from others.
      format: how they are kept.
    """

    def __init__(self, work: Work):
        """Make the network as the Trainer makes it.

        Raises:
          WeightsError: if the backbone's weights cannot be had.
        """
        if work.node != this_process():
            bound_threads(work.threads)
        devices.prepare(work.settings.devices)
        gpus = tuple(device.name for device in tf.config.list_logical_devices("GPU"))
        self._device = take_device(gpus)
        with tf.device(self._device), local_copy(work.transform_graph) as graph:
            network = build_network(work.settings, work.image_size).frozen
            preprocess = read_preprocessing(str(graph))
            self._part = frozen_part(network, preprocess, work.settings, work.preprocessing)
            self._part.trace()
        self.part = cache_name(self._part.key, work.settings)
        self.format = RowFormat(self._part.shape, kept_dtype(work.settings))
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
        with tf.device(self._device):
            rows = self._part(images)
        stored = self.format.pack(sha256, rows)
        with self._lock:
            self._done += len(images)
            done, begun = self._done, len(self._begun)
        progress.report(begun, self._files, f"files of films; {done:,} films embedded")
        return stored
