"""The life of a model's versions: found, loaded, warmed up, tried again, given up, unloaded."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tensorflow_serving.apis import get_model_status_pb2

from serving.server import storage
from serving.server.config import ServerConfig
from serving.server.errors import StatusError
from serving.server.metrics import WARMUP_LATENCY, Metrics
from serving.server.model_config import ModelSettings
from serving.server.servable import Servable
from serving.server.warmup import warm_up
from serving.versions import incomplete

_log = logging.getLogger(__name__)

State = get_model_status_pb2.ModelVersionStatus.State
_MAX_ENDED = 100


@dataclass
class Version:
    """One version on its way: START, LOADING, AVAILABLE, UNLOADING, END.

    Attributes:
      number: of the version.
      path: its folder.
      state: a `State`.
      error: why it could not be loaded.
      servable: what was loaded.
      tries: that failed.
      next_try: on `time.monotonic`'s clock.
      failed_with: the files that could not be loaded, once it was given up.
    """

    number: int
    path: Path
    state: int = State.START
    error: StatusError | None = None
    servable: Servable | None = None
    tries: int = 0
    next_try: float = 0.0
    failed_with: storage.Fingerprint | None = None

    @property
    def given_up(self) -> bool:
        """Whether it is not tried again, unless its files change."""
        return self.failed_with is not None


@dataclass
class Model:
    """What should be served under a name, and what is known of its versions, by number."""

    settings: ModelSettings
    versions: dict[int, Version] = field(default_factory=dict)

    def available(self) -> list[int]:
        """The versions that can be asked, in rising order."""
        return sorted(n for n, one in self.versions.items() if one.state == State.AVAILABLE)


class Keeper:
    """Loads what should be loaded, and then unloads what should not.

    A new version loads while the old one answers, and the old one keeps answering if the new one
    cannot be loaded. One thread at a time may call it.
    """

    def __init__(self, config: ServerConfig, metrics: Metrics, lock: threading.Lock) -> None:
        """Takes the lock that guards what requests read, for moments."""
        self._config = config
        self._metrics = metrics
        self._lock = lock
        self._warned: set[str] = set()

    def reconcile(self, model: Model, *, unload: bool) -> float:
        """Does what is due for one model; returns the seconds until a failure is tried again.

        0 if nothing waits to be tried again.
        """
        try:
            aspired = self._aspired(model)
        except OSError as error:
            # What is loaded stays: a file system may be away for a while.
            self._warn(f"{model.settings.name}: its versions cannot be listed: {error}")
            return 0.0
        waits = [
            self._load_if_due(model, number, path)
            for number, path in sorted(aspired.items(), reverse=True)
        ]
        if unload:
            self._unload(model, aspired)
        return min((wait for wait in waits if wait), default=0.0)

    def _aspired(self, model: Model) -> dict[int, Path]:
        """The versions that should be loaded: of those that are whole and not known to fail."""
        settings = model.settings
        if settings.is_retired:
            return {}
        usable = {}
        for number, path in storage.list_versions(settings.base_path).items():
            known = model.versions.get(number)
            loaded = known is not None and known.servable is not None and known.path == path
            # TensorFlow Serving does not look, and so loads what is still being copied.
            if not loaded and (missing := incomplete(path)):
                self._warn(f"{path}: not whole yet, and left alone: {missing}")
            elif known and known.given_up and known.failed_with == storage.fingerprint(path):
                continue
            else:
                usable[number] = path
        if not usable:
            self._warn(
                f"No versions of servable {settings.name} found under base path "
                f"{settings.base_path}. Did you forget to name your leaf directory as a number "
                "(eg. '/1/')?"
            )
        chosen = settings.policy.choose(usable)
        return {number: path for number, path in usable.items() if number in chosen}

    def _load_if_due(self, model: Model, number: int, path: Path) -> float:
        """Loads a version that is not loaded; returns seconds to wait after a failure."""
        version = model.versions.get(number)
        if version and version.state == State.UNLOADING:
            version = None  # it ends after its last request: another takes its place
        if version is None or version.path != path or version.given_up:
            loaded = version.servable if version else None
            version = Version(number, path)
            if loaded:  # the same number elsewhere: the old one answers until the new one can
                return self._replace(model, version, loaded)
            with self._lock:
                model.versions[number] = version
        elif version.state == State.END:
            with self._lock:
                version.state, version.error, version.tries = State.START, None, 0
        if version.state == State.AVAILABLE:
            return 0.0
        left = version.next_try - time.monotonic()
        return left if left > 0 else self._load(model, version)

    def _load(self, model: Model, version: Version) -> float:
        name = model.settings.name
        with self._lock:
            version.state = State.LOADING
        seen = storage.fingerprint(version.path)
        try:
            servable = self._loaded(name, version)
        except StatusError as error:
            version.tries += 1
            if version.tries <= self._config.max_num_load_retries:
                wait = self._config.load_retry_interval_micros / 1e6
                version.next_try = time.monotonic() + wait
                _log.warning("%s %d: not loaded, tried again: %s", name, version.number, error)
                return max(wait, 1e-3)
            with self._lock:
                version.state, version.error, version.failed_with = State.END, error, seen
            _log.error("%s %d: given up: %s", name, version.number, error)
            # Another version may now be the latest that can be served.
            return 1e-3
        with self._lock:
            version.servable, version.state, version.error = servable, State.AVAILABLE, None
        return 0.0

    def _loaded(self, name: str, version: Version) -> Servable:
        start = time.perf_counter()
        servable = Servable(name, version.number, version.path, self._config)
        status = "OK"
        warming = time.perf_counter()
        try:
            count = warm_up(servable) if self._config.enable_model_warmup else 0
        except StatusError as error:
            status = error.code.name
            servable.retire(lambda: None)
            raise
        finally:
            self._metrics.observe(
                WARMUP_LATENCY,
                1e6 * (time.perf_counter() - warming),
                model_path=str(version.path),
                status=status,
            )
        _log.info(
            "%s %d: available after %.1f s, %d warm-up requests",
            name,
            version.number,
            time.perf_counter() - start,
            count,
        )
        return servable

    def _replace(self, model: Model, version: Version, loaded: Servable) -> float:
        try:
            version.servable = self._loaded(model.settings.name, version)
        except StatusError as error:
            self._warn(f"{version.path}: not loaded in place of {loaded.path}: {error}")
            return 0.0
        version.state = State.AVAILABLE
        with self._lock:
            model.versions[version.number] = version
        loaded.retire(lambda: None)
        return 0.0

    def _unload(self, model: Model, aspired: Mapping[int, Path]) -> None:
        available = set(model.available())
        if aspired and not available & set(aspired):
            return
        for number in sorted(available - set(aspired)):
            self._retire(model, model.versions[number])
        with self._lock:
            ended = [n for n, one in model.versions.items() if one.state == State.END]
            for number in sorted(ended)[:-_MAX_ENDED]:
                del model.versions[number]

    def _retire(self, model: Model, version: Version) -> None:
        servable = version.servable
        assert servable is not None
        with self._lock:
            version.state, version.servable = State.UNLOADING, None

        def ended() -> None:
            with self._lock:
                version.state = State.END
            _log.info("%s %d: unloaded", model.settings.name, version.number)

        servable.retire(ended)

    def _warn(self, message: str) -> None:
        """Says it once, however often it is seen."""
        if message not in self._warned:
            self._warned.add(message)
            _log.warning("%s", message)
