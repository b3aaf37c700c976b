"""Which versions of which models are loaded, and what becomes of them.

Loading comes before unloading: while a new version loads the old one answers, and keeps
answering if the new one cannot be loaded.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tensorflow_serving.apis import get_model_status_pb2, model_pb2

from serving.server import storage
from serving.server.config import ServerConfig
from serving.server.errors import Code, StatusError, invalid
from serving.server.metrics import WARMUP_LATENCY, Metrics
from serving.server.model_config import ModelSettings
from serving.server.servable import Servable
from serving.server.warmup import warm_up

_log = logging.getLogger(__name__)

State = get_model_status_pb2.ModelVersionStatus.State
_MAX_ENDED = 100


@dataclass
class _Version:
    """One version's life: START, LOADING, AVAILABLE, UNLOADING, END."""

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
        return self.failed_with is not None


@dataclass
class _Model:
    settings: ModelSettings
    versions: dict[int, _Version] = field(default_factory=dict)

    def available(self) -> list[int]:
        return sorted(n for n, one in self.versions.items() if one.state == State.AVAILABLE)


class ModelManager:
    """Keeps what is loaded equal to what the settings and the folders ask for.

    `reconcile` does the work, one call at a time; requests only look up what is AVAILABLE.
    """

    def __init__(self, config: ServerConfig, metrics: Metrics) -> None:
        self._config = config
        self._metrics = metrics
        self._models: dict[str, _Model] = {}
        self._warned: set[str] = set()
        # The first guards what requests read, for moments; the second a whole reconciliation.
        self._lock = threading.Lock()
        self._reconciling = threading.RLock()

    # What requests ask.

    @contextlib.contextmanager
    def acquire(self, spec: model_pb2.ModelSpec) -> Iterator[Servable]:
        """The version that a request asks for, which stays loaded during the block.

        Raises:
          StatusError: INVALID_ARGUMENT without a name or with an unknown label, NOT_FOUND for
            an unknown model or a version that is not available.
        """
        with contextlib.ExitStack() as stack:
            with self._lock:
                servable = self._find(spec)
                stack.enter_context(servable.in_use())
            yield servable

    def _find(self, spec: model_pb2.ModelSpec) -> Servable:
        if not spec.name:
            raise invalid("ModelSpec has no name specified.")
        model = self._models.get(spec.name)
        number: int | None = None
        # Version 0 is a version: it is presence that counts.
        if spec.HasField("version"):
            number = spec.version.value
        elif spec.HasField("version_label") and model is not None:
            number = model.settings.labels.get(spec.version_label)
            if number is None:
                raise invalid(f"Unrecognized servable version label: {spec.version_label}")
        wanted = f"Latest({spec.name})" if number is None else f"Specific({spec.name}, {number})"
        available = model.available() if model else []
        if number is None and available:
            number = available[-1]
        if model is None or number not in available:
            raise StatusError(Code.NOT_FOUND, f"Servable not found for request: {wanted}")
        servable = model.versions[number].servable
        assert servable is not None
        return servable

    def status(self, spec: model_pb2.ModelSpec) -> get_model_status_pb2.GetModelStatusResponse:
        """The states of one version, or of all that are or were there, the highest first.

        Raises:
          StatusError: INVALID_ARGUMENT without a name, NOT_FOUND for what is not known.
        """
        if not spec.name:
            raise invalid("ModelSpec has no name specified.")
        response = get_model_status_pb2.GetModelStatusResponse()
        with self._lock:
            model = self._models.get(spec.name)
            if model is None or not model.versions:
                raise StatusError(
                    Code.NOT_FOUND, f"Could not find any versions of model {spec.name}"
                )
            numbers = sorted(model.versions, reverse=True)
            if spec.HasField("version"):
                numbers = [number for number in numbers if number == spec.version.value]
                if not numbers:
                    raise StatusError(
                        Code.NOT_FOUND,
                        f"Could not find version {spec.version.value} of model {spec.name}",
                    )
            for number in numbers:
                version = model.versions[number]
                status = response.model_version_status.add(version=number, state=version.state)
                status.status.SetInParent()
                if version.error:
                    status.status.error_code = version.error.number
                    status.status.error_message = version.error.message
        return response

    def available(self) -> Mapping[str, list[int]]:
        """The versions of each model that can be asked now, in rising order."""
        with self._lock:
            return {name: model.available() for name, model in self._models.items()}

    def contract(self, name: str) -> tuple[int, dict[str, Any]]:
        """The latest available version of a model and the content of its contract file.

        Raises:
          StatusError: NOT_FOUND: no version of it is available.
        """
        with self.acquire(model_pb2.ModelSpec(name=name)) as servable:
            return servable.version, servable.contract

    def labels(self, name: str) -> Mapping[str, int]:
        """The labels of a model's versions; none of an unknown model."""
        with self._lock:
            model = self._models.get(name)
            return dict(model.settings.labels) if model else {}

    # What changes the models.

    def configure(self, settings: Iterable[ModelSettings]) -> None:
        """Replaces all the models' settings; returns when the new models have loaded.

        All is checked before anything that answers now is touched, so that a configuration
        which is refused changes nothing.

        Raises:
          StatusError: a model that is new failed to load, or FAILED_PRECONDITION: a label
            points at a version that is not available.
        """
        wanted = {one.name: one for one in settings}
        with self._reconciling:
            with self._lock:
                before = {name: model.settings for name, model in self._models.items()}
            loading = {
                name: replace(one, labels=before[name].labels if name in before else {})
                for name, one in wanted.items()
            }
            try:
                self._adopt({**before, **loading})
                self._load_until_settled(wanted)
                self._check(wanted, before)
            except StatusError:
                self._adopt(before)
                self.reconcile()
                raise
            self._adopt(wanted)
            self.reconcile()

    def _adopt(self, wanted: Mapping[str, ModelSettings]) -> None:
        with self._lock:
            for name, settings in wanted.items():
                if name in self._models:
                    self._models[name].settings = settings
                else:
                    self._models[name] = _Model(settings)
            for name, model in self._models.items():
                if name not in wanted:
                    model.settings = model.settings.retired()

    def _load_until_settled(self, wanted: Mapping[str, ModelSettings]) -> None:
        while wait := self._reconcile(unload=False, only=wanted):
            time.sleep(wait)

    def _check(
        self, wanted: Mapping[str, ModelSettings], before: Mapping[str, ModelSettings]
    ) -> None:
        with self._lock:
            for name, settings in wanted.items():
                model = self._models[name]
                available = model.available()
                failures = [one.error for one in model.versions.values() if one.given_up]
                is_new = name not in before or before[name].is_retired
                if is_new and failures and not available:
                    assert failures[-1] is not None
                    raise failures[-1]
                for label, number in settings.labels.items():
                    known = before[name].labels if name in before else {}
                    may_be_absent = (
                        self._config.allow_version_labels_for_unavailable_models
                        and known.get(label, number) == number
                    )
                    if number not in available and not may_be_absent:
                        raise StatusError(
                            Code.FAILED_PRECONDITION,
                            f"Request to assign label to version {number} of model {name}, which "
                            "is not currently available for inference",
                        )

    def reconcile(self) -> float:
        """Loads and unloads what should be; returns the seconds until a failure is tried again.

        0 if nothing waits to be tried again.
        """
        return self._reconcile(unload=True)

    def close(self) -> None:
        """Unloads every version at once: what still runs is cut off."""
        with self._reconciling, self._lock:
            for model in self._models.values():
                for version in model.versions.values():
                    if version.servable:
                        version.servable.abort()
            self._models.clear()

    def _reconcile(self, *, unload: bool, only: Iterable[str] | None = None) -> float:
        with self._reconciling:
            waits = [
                self._reconcile_model(name, unload=unload)
                for name in list(self._models if only is None else only)
            ]
        return min((wait for wait in waits if wait), default=0.0)

    def _reconcile_model(self, name: str, *, unload: bool) -> float:
        model = self._models[name]
        try:
            aspired = self._aspired(model)
        except OSError as error:
            # What is loaded stays: a file system may be away for a while.
            self._warn(f"{name}: its versions cannot be listed: {error}")
            return 0.0
        waits = [
            self._load_if_due(model, number, path)
            for number, path in sorted(aspired.items(), reverse=True)
        ]
        if unload:
            self._unload(model, aspired)
        return min((wait for wait in waits if wait), default=0.0)

    def _aspired(self, model: _Model) -> dict[int, Path]:
        """The versions that should be loaded: of those that are whole and not known to fail."""
        settings = model.settings
        if settings.is_retired:
            return {}
        usable = {}
        for number, path in storage.list_versions(settings.base_path).items():
            known = model.versions.get(number)
            loaded = known is not None and known.servable is not None and known.path == path
            if not loaded and not storage.is_complete(path):
                self._warn(f"{path}: not whole yet, and left alone: files are missing")
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

    def _load_if_due(self, model: _Model, number: int, path: Path) -> float:
        """Loads a version that is not loaded; returns seconds to wait after a failure."""
        version = model.versions.get(number)
        if version is None or version.path != path or version.given_up:
            loaded = version.servable if version else None
            version = _Version(number, path)
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

    def _load(self, model: _Model, version: _Version) -> float:
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

    def _loaded(self, name: str, version: _Version) -> Servable:
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

    def _replace(self, model: _Model, version: _Version, loaded: Servable) -> float:
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

    def _unload(self, model: _Model, aspired: Mapping[int, Path]) -> None:
        available = set(model.available())
        if aspired and not available & set(aspired):
            return
        for number in sorted(available - set(aspired)):
            self._retire(model, model.versions[number])
        with self._lock:
            ended = [n for n, one in model.versions.items() if one.state == State.END]
            for number in sorted(ended)[:-_MAX_ENDED]:
                del model.versions[number]

    def _retire(self, model: _Model, version: _Version) -> None:
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


def watch(stop: threading.Event, seconds: float, check: Callable[[], float]) -> None:
    """Calls `check` every so many seconds, or when it says that it wants to be called again."""
    wait = seconds
    while not stop.wait(wait):
        try:
            again = check()
        except Exception:
            _log.exception("looking for versions failed")
            again = 0.0
        wait = min(seconds, again) if again else seconds
