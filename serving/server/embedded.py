"""The embedded server as one object: started, asked, stopped, from any thread.

with EmbeddedServer(ServerConfig(model_name="cxr", model_base_path=base, port=0)) as server:
    client = GrpcClient(f"127.0.0.1:{server.grpc_port}")
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from serving.server import batching
from serving.server.admission import Admission
from serving.server.batching import BatchScheduler
from serving.server.config import ServerConfig
from serving.server.grpc_front import GrpcFront
from serving.server.manager import ModelManager, watch
from serving.server.metrics import Metrics
from serving.server.model_config import ModelSettings, wanted_models
from serving.server.reloading import Reloader
from serving.server.request_log import RequestLog
from serving.server.rest_front import RestFront
from serving.server.service import Service
from serving.server.tls import TLS
from serving.server.watching import Watcher

_log = logging.getLogger(__name__)

# More threads would only wait: what they wait for is one batch.
_MAX_BATCHING_THREADS = 256


class EmbeddedServer:
    """Speaks TensorFlow Serving's protocols for SavedModels, within this process.

    Both ports share one event loop in a thread of its own; models run in other threads.

    Attributes:
      config: as given.
      models: what is loaded.
      grpc_port: known once it is started.
      rest_port: the same; None without REST.
    """

    def __init__(self, config: ServerConfig) -> None:
        """Remembers the settings; `start` reads files and loads models."""
        self.config = config
        self.grpc_port = 0
        self.rest_port: int | None = None
        self._metrics = Metrics()
        self.models = ModelManager(config, self._metrics)
        self._stop_watching = threading.Event()
        self._threads: list[threading.Thread] = []
        self._batches: BatchScheduler | None = None
        self._watcher: Watcher | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._fronts: list[GrpcFront | RestFront] = []

    def start(self) -> None:
        """Loads the models, then opens the ports.

        A folder without versions is no error: they are served when they come.

        Raises:
          ServerConfigError: settings, or the files they name, cannot be used; or a port.
          RequestLogError: the log's folder cannot be used.
          StatusError: a model is there, and no version of it can be loaded.
        """
        config = self.config
        tls = TLS.read(config.ssl_config_file) if config.ssl_config_file else None
        parameters = batching.read_parameters(config.batching_parameters_file)
        # The last that can be refused while no thread has to be ended.
        log = (
            RequestLog(config.request_log_dir, sampling=config.request_log_sampling)
            if config.request_log_dir
            else None
        )
        running = config.max_running_requests
        if config.enable_batching:
            self._batches = BatchScheduler(parameters)
            running = max(running, min(2 * parameters.max_batch_size, _MAX_BATCHING_THREADS))
        self._admission = Admission(
            max_running=running, max_queued=config.max_queued_requests, metrics=self._metrics
        )
        if log:
            self._watcher = Watcher(self.models, log)
        service = Service(
            config, self.models, self._admission, self._metrics, self._batches, self._watcher
        )
        try:
            settings = wanted_models(config)
            self.models.configure(settings)
            self._open(service, tls)
        except BaseException:
            self.stop(0)
            raise
        self._watch(settings)

    def stop(self, grace: float | None = None) -> None:
        """Stops taking requests, answers those that run, and unloads the models.

        Args:
          grace: seconds after which what still runs is cut off; None for the setting's.
        """
        grace = self.config.grace_seconds if grace is None else grace
        end = time.monotonic() + grace
        self._stop_watching.set()
        if self._loop:
            asyncio.run_coroutine_threadsafe(self._close(grace), self._loop).result()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._loop = None
        for thread in self._threads:
            thread.join()
        self._threads.clear()
        if self._watcher:
            self._watcher.close(max(0.0, end - time.monotonic()))
        self.models.close()
        if self._batches:
            self._batches.close()
        self._admission.close()

    @property
    def pending(self) -> int:
        """How many requests run or wait."""
        return self._admission.pending

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _value: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _open(self, service: Service, tls: TLS | None) -> None:
        loop = asyncio.new_event_loop()
        self._loop = loop
        self._start_thread(lambda: _run(loop), "cxr-serve-ports")
        asyncio.run_coroutine_threadsafe(self._open_fronts(service, tls), loop).result()

    async def _open_fronts(self, service: Service, tls: TLS | None) -> None:
        grpc_front = GrpcFront(service, self.config, tls)
        self._fronts.append(grpc_front)
        if self.config.rest_api_port is not None:
            rest_front = RestFront(service, self.config, tls)
            self._fronts.append(rest_front)
            await rest_front.start()
            self.rest_port = rest_front.port
        await grpc_front.start()
        self.grpc_port = grpc_front.port

    async def _close(self, grace: float) -> None:
        for front in self._fronts:
            await front.drain()
        await asyncio.gather(*(front.stop(grace) for front in self._fronts))

    def _watch(self, settings: Sequence[ModelSettings]) -> None:
        config = self.config
        if config.file_system_poll_wait_seconds > 0:
            self._watch_every(config.file_system_poll_wait_seconds, self.models.reconcile)
        if config.model_config_file and config.model_config_file_poll_wait_seconds > 0:
            reloader = Reloader(config, self.models, settings)
            self._watch_every(config.model_config_file_poll_wait_seconds, reloader.check)

    def _watch_every(self, seconds: float, check: Callable[[], float]) -> None:
        self._start_thread(lambda: watch(self._stop_watching, seconds, check), "cxr-serve-watch")

    def _start_thread(self, target: Callable[[], None], name: str) -> None:
        thread = threading.Thread(target=target, name=name, daemon=True)
        thread.start()
        self._threads.append(thread)


def _run(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
    finally:
        loop.close()
