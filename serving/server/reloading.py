"""Keeps a server at what its model_config_file says, which may change while it runs."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from serving.server.config import ServerConfig
from serving.server.errors import ServerConfigError, StatusError
from serving.server.manager import ModelManager
from serving.server.model_config import ModelSettings, wanted_models

_log = logging.getLogger(__name__)

# Models may be loaded before a file is refused: trying again takes a tenth of the time at most.
_PAUSE_AFTER_REFUSAL = 9


class Reloader:
    """Reads the model_config_file again, and applies it if it changed.

    An unusable one changes nothing. It is tried again, since the versions that it names may still
    come, and told once.
    """

    def __init__(
        self, config: ServerConfig, models: ModelManager, settings: Sequence[ModelSettings]
    ) -> None:
        """Takes what the models are configured with."""
        self._config = config
        self._models = models
        self._applied = list(settings)
        self._refused: list[ModelSettings] | None = None
        self._refusal = ""
        self._next_try = 0.0

    def check(self) -> float:
        """Looks once; returns 0: it is not in a hurry to be called again."""
        start = time.monotonic()
        settings = None
        try:
            settings = wanted_models(self._config)
            if settings != self._refused or start >= self._next_try:
                self._apply(settings)
        except (ServerConfigError, StatusError) as error:
            now = time.monotonic()
            self._refused, self._next_try = settings, now + _PAUSE_AFTER_REFUSAL * (now - start)
            if str(error) != self._refusal:
                _log.error("%s is not applied: %s", self._config.model_config_file, error)
            self._refusal = str(error)
        return 0.0

    def _apply(self, settings: list[ModelSettings]) -> None:
        if settings != self._applied:
            self._models.configure(settings)
            _log.info("%s was read again", self._config.model_config_file)
        self._applied, self._refused, self._refusal = settings, None, ""
