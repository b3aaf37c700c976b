"""This process among those that train together."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from components.trainer.cluster import Cluster
from components.trainer.imbalance import TrainingError

# What ends a process that waits in vain: as an exit code 142. The Training Operator starts a worker
# again whatever its code, until the job's `backoffLimit`: see tfjob.yaml.
LATE = signal.SIGALRM


class Workers:
    """What this process shares with the others."""

    def __init__(self, cluster: Cluster, *, timeout: float):
        """Join them: before TensorFlow did anything else in this process.

        Each worker has a device of its own: the GPU of its number on its machine, else the CPU.

        Args:
          cluster: who they are.
          timeout: for how long to wait for them, in seconds.
        """
        self.index = cluster.index
        self.count = len(cluster.addresses)
        self._timeout = timeout
        # By the kernel: no thread of Python's comes to its turn while TensorFlow joins the others.
        signal.signal(LATE, signal.SIG_DFL)
        gpus = tf.config.list_physical_devices("GPU")
        if gpus:
            own = gpus[cluster.local_index % len(gpus)]
            tf.config.set_visible_devices(own, "GPU")
        with self.waiting():
            self.strategy = tf.distribute.MultiWorkerMirroredStrategy()

    @property
    def is_chief(self) -> bool:
        """Whether this is the worker that keeps states, logs and the result."""
        return self.index == 0

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Where the others are waited for: past the time limit `LATE` ends the process.

        TensorFlow would wait for a dead worker for ever.
        """
        signal.setitimer(signal.ITIMER_REAL, self._timeout)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)

    def agree(self, facts: Sequence[int]) -> None:
        """Make sure that all workers begin alike.

        Args:
          facts: numbers below 2^24 in absolute value that must be equal on all of them.

        Raises:
          TrainingError: on each of them, if they are not.
        """
        with self.waiting():
            found = self.gathered(np.array([facts], np.float32))
        if np.ptp(found, axis=0).any():
            raise TrainingError(
                f"the {self.count} workers do not begin alike: give them the same code and one "
                "trainer.cache.folder, on a volume that all of them see"
            )

    def gathered(self, value: np.ndarray) -> np.ndarray:
        """What each worker has, one after the other along the first axis."""

        def gather(own: tf.Tensor) -> tf.Tensor:
            # What is gathered must be on a device, and a replica's argument is on none yet.
            return tf.distribute.get_replica_context().all_gather(tf.identity(own), axis=0)

        run = tf.function(lambda value: self.strategy.run(gather, (value,)))
        return run(tf.constant(value)).numpy()
