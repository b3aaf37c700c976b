"""One loaded version of a model: a session of its own, closed when the last request is done."""

from __future__ import annotations

import contextlib
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from serving.server.config import ServerConfig
from serving.server.errors import Code, StatusError, code_of, invalid
from serving.version_folders import CONTRACT_FILE

_log = logging.getLogger(__name__)

_VARIABLES = {"VarHandleOp", "VariableV2", "Variable"}
_FAULTS = (tf.errors.OpError, OSError, RuntimeError, ValueError, TypeError, KeyError)


class Servable:
    """A SavedModel in a session, as TensorFlow Serving loads it.

    Attributes:
      name: of the model.
      version: its number.
      path: the folder it was loaded from.
      meta_graph: the MetaGraphDef, signatures included.
      contract: the content of its contract file, {} without one.
    """

    def __init__(self, name: str, version: int, path: Path, config: ServerConfig) -> None:
        """Loads the graph and its variables.

        Raises:
          StatusError: it cannot be loaded.
        """
        self.name = name
        self.version = version
        self.path = path
        self._lock = threading.Lock()
        self._running = 0
        self._when_closed: Callable[[], None] | None = None
        self._session = tf.compat.v1.Session(
            graph=tf.Graph(),
            config=tf.compat.v1.ConfigProto(
                intra_op_parallelism_threads=config.tensorflow_intra_op_parallelism,
                inter_op_parallelism_threads=config.tensorflow_inter_op_parallelism,
            ),
        )
        try:
            with self._session.graph.as_default():
                self.meta_graph = tf.compat.v1.saved_model.loader.load(
                    self._session, config.saved_model_tags.split(","), str(path)
                )
            self._check_variables()
            self.contract = _read_contract(path / CONTRACT_FILE)
        except _FAULTS as error:
            self._session.close()
            raise _load_error(error) from error
        except BaseException:
            self._session.close()
            raise

    def signature(self, name: str) -> Any | None:
        """The SignatureDef of this name, None without it."""
        return self.meta_graph.signature_def.get(name)

    def run(
        self,
        feeds: Mapping[str, NDArray[Any]],
        fetches: Sequence[str],
        deadline: float | None = None,
    ) -> list[NDArray[Any]]:
        """Runs the graph.

        Args:
          feeds: arrays by the names of the graph's tensors, not of the signature's.
          fetches: names of tensors, each of which may come more than once.
          deadline: on `time.monotonic`'s clock.

        Raises:
          StatusError: with TensorFlow's own code; INVALID_ARGUMENT where an array does not
            fit its tensor, DEADLINE_EXCEEDED where the time did not suffice.
        """
        options = None
        if deadline is not None:
            left = deadline - time.monotonic()
            if left <= 0:
                raise StatusError(
                    Code.DEADLINE_EXCEEDED, "the deadline passed before the model ran"
                )
            options = tf.compat.v1.RunOptions(timeout_in_ms=max(1, int(1000 * left)))
        try:
            return self._session.run(list(fetches), dict(feeds), options)
        except tf.errors.OpError as error:
            raise _run_error(error) from error
        except (TypeError, ValueError) as error:  # before it reached the graph
            raise invalid(str(error)) from error

    @contextlib.contextmanager
    def in_use(self) -> Iterator[Servable]:
        """Keeps the session open during the block; begin it under the manager's lock."""
        with self._lock:
            self._running += 1
        try:
            yield self
        finally:
            with self._lock:
                self._running -= 1
            self._close_if_done()

    def retire(self, when_closed: Callable[[], None]) -> None:
        """Closes the session now, or after the last request that uses it."""
        with self._lock:
            self._when_closed = when_closed
        self._close_if_done()

    def abort(self) -> None:
        """Closes the session now; what runs in it is cut off."""
        self._session.close()

    def _close_if_done(self) -> None:
        with self._lock:
            if self._running or self._when_closed is None:
                return
            when_closed, self._when_closed = self._when_closed, None
        self._session.close()
        when_closed()

    def _check_variables(self) -> None:
        # TensorFlow's loader restores nothing, and says nothing, where they are missing.
        needed = any(node.op in _VARIABLES for node in self.meta_graph.graph_def.node)
        if needed and not (self.path / "variables" / "variables.index").is_file():
            raise StatusError(
                Code.NOT_FOUND, f"{self.path}: its graph has variables, which are not there"
            )


def _read_contract(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    contract = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(contract, dict):
        raise ValueError(f"{path}: an object was expected, not {type(contract).__name__}")
    return contract


def _load_error(error: Exception) -> StatusError:
    if isinstance(error, tf.errors.OpError):
        return StatusError(code_of(error.error_code), error.message)
    return StatusError(Code.INTERNAL, f"{type(error).__name__}: {error}")


def _run_error(error: tf.errors.OpError) -> StatusError:
    # The session adds the Python stack to what the runtime said, which is its context.
    original = error.__context__
    message = original.message if isinstance(original, tf.errors.OpError) else error.message
    return StatusError(code_of(error.error_code), str(message))


def check_dtype(position: int, array: NDArray[Any], dtype: int) -> None:
    """Refuses an array of another type than a signature's input has.

    Raises:
      StatusError: INVALID_ARGUMENT, in the words of TensorFlow's runtime.
    """
    wanted = tf.dtypes.as_dtype(dtype)
    if np.dtype(wanted.as_numpy_dtype) != array.dtype:
        got = tf.dtypes.as_dtype(array.dtype)
        raise invalid(f"Expects arg[{position}] to be {wanted.name} but {got.name} is provided")
