"""The models of a server: which version answers a request, and how settings are exchanged."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from tensorflow_serving.apis import get_model_status_pb2, model_pb2

from serving.model_config import STABLE
from serving.server.config import ServerConfig
from serving.server.errors import Code, StatusError, invalid
from serving.server.metrics import Metrics
from serving.server.model_config import ModelSettings
from serving.server.servable import Servable
from serving.server.versions import Keeper, Model

_log = logging.getLogger(__name__)


class ModelManager:
    """Keeps what is loaded equal to what the settings and the folders ask for.

    `reconcile` does the work, one call at a time; requests only look up what is AVAILABLE.
    """

    def __init__(self, config: ServerConfig, metrics: Metrics) -> None:
        self._config = config
        self._models: dict[str, Model] = {}
        # The first guards what requests read, for moments; the second a whole reconciliation.
        self._lock = threading.Lock()
        self._reconciling = threading.RLock()
        self._keeper = Keeper(config, metrics, self._lock)

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
        """The versions of each model that is to be served, which can be asked now, rising."""
        with self._lock:
            return {
                name: model.available()
                for name, model in self._models.items()
                if not model.settings.is_retired
            }

    def contract(self, name: str) -> tuple[int, dict[str, Any]]:
        """The version that is labelled stable, and the content of its contract file.

        Of a model without that label the latest: with it, the latest may be a canary on trial.

        Raises:
          StatusError: NOT_FOUND: that version is not available.
        """
        stable = self.labels(name).get(STABLE)
        spec = model_pb2.ModelSpec(name=name)
        if stable is not None:
            spec.version.value = stable
        with self.acquire(spec) as servable:
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
                    self._models[name] = Model(settings)
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
                self._keeper.reconcile(self._models[name], unload=unload)
                for name in list(self._models if only is None else only)
            ]
        return min((wait for wait in waits if wait), default=0.0)


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
