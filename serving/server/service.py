"""From a request, of either protocol, to its answer: admission, version, deadline, metrics."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeAlias, TypeVar

from numpy.typing import NDArray
from tensorflow_serving.apis import model_pb2

from serving.server.admission import Admission
from serving.server.batching import BatchScheduler
from serving.server.config import ServerConfig
from serving.server.errors import Code, StatusError
from serving.server.inference import Call
from serving.server.manager import ModelManager
from serving.server.metrics import (
    REQUEST_COUNT,
    REQUEST_LATENCY,
    RUNTIME_LATENCY,
    Metrics,
)
from serving.server.servable import Servable
from serving.server.watching import Watcher

_log = logging.getLogger(__name__)

T = TypeVar("T")
Entrypoint: TypeAlias = Literal["GRPC", "REST"]


class Service:
    """Answers requests for the models of a manager."""

    def __init__(
        self,
        config: ServerConfig,
        models: ModelManager,
        admission: Admission,
        metrics: Metrics,
        batches: BatchScheduler | None = None,
        watcher: Watcher | None = None,
    ) -> None:
        self.config = config
        self.models = models
        self.metrics = metrics
        self._admission = admission
        self._batches = batches
        self._watcher = watcher

    async def answer(
        self,
        entrypoint: Entrypoint,
        api: str,
        spec: model_pb2.ModelSpec,
        work: Callable[[Servable, Call], T],
        deadline: float | None,
    ) -> T:
        """Runs `work` on the version that a request asks for, in a thread.

        Args:
          entrypoint: the protocol, for the metrics.
          api: the method's name, for the metrics.
          spec: model, and version or label.
          work: from the version to the answer.
          deadline: on `time.monotonic`'s clock.

        Raises:
          StatusError: whatever went wrong; a bug is INTERNAL, and logged.
        """
        start = time.perf_counter()
        code = Code.OK
        try:
            return await self._admission.run(
                lambda: self._work(api, spec, work, deadline), deadline
            )
        except StatusError as error:
            code = error.code
            raise
        except Exception as error:
            code = Code.INTERNAL
            _log.exception("%s of %s failed", api, spec.name)
            raise StatusError(code, f"{type(error).__name__}: {error}") from error
        finally:
            # Names that no model has are not kept: their number would have no bound.
            name = spec.name if spec.name in self.models.available() else ""
            self.metrics.count(REQUEST_COUNT, model_name=name, status=code.name)
            self.metrics.observe(
                REQUEST_LATENCY,
                1e6 * (time.perf_counter() - start),
                model_name=name,
                API=api,
                entrypoint=entrypoint,
            )

    def _work(
        self,
        api: str,
        spec: model_pb2.ModelSpec,
        work: Callable[[Servable, Call], T],
        deadline: float | None,
    ) -> T:
        with self.models.acquire(spec) as servable:

            def run(
                feeds: Mapping[str, NDArray[Any]],
                fetches: Sequence[str],
                until: float | None,
            ) -> list[NDArray[Any]]:
                start = time.perf_counter()
                try:
                    if self._batches:
                        return self._batches.run(servable, feeds, fetches, until)
                    return servable.run(feeds, fetches, until)
                finally:
                    self.metrics.observe(
                        RUNTIME_LATENCY,
                        1e6 * (time.perf_counter() - start),
                        model_name=servable.name,
                        API=api,
                        runtime="TF1",
                    )

            call = Call(
                run,
                deadline,
                self.config.max_image_pixels,
                self.config.enable_serialization_as_tensor_content,
                functools.partial(self._watcher.answered, servable) if self._watcher else None,
            )
            return work(servable, call)
