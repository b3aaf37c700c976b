"""Whom a client asks, for which model, and how patiently."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from serving.client.errors import DeadlineExceededError, ServerUnreachableError
from serving.prediction import EXPLAIN_SIGNATURE, MissingSignatureError

DEFAULT_MODEL_NAME = "cxr"
DEFAULT_TIMEOUT_SECONDS = 30.0
# gRPC makes no more attempts than these.
DEFAULT_ATTEMPTS = 5
# Doubled from attempt to attempt, and jittered, so that clients do not come back all at once.
FIRST_WAIT_SECONDS = 0.2
LONGEST_WAIT_SECONDS = 2.0


class TargetOptions(TypedDict, total=False):
    """What a client can be told beside the address; `Target` says what each means."""

    model_name: str
    version: int | None
    version_label: str | None
    timeout: float
    attempts: int
    tls: bool | Path


@dataclass(frozen=True)
class Target:
    """The model to ask.

    Attributes:
      address: "host:port".
      model_name: the name that the server gives the model.
      version: the version to ask for; None for the server's latest.
      version_label: the label of the version to ask for, "stable" for example.
      timeout: seconds to wait for one batch, all attempts together.
      attempts: how often a server that is busy or away is asked, 1 to 5.
      tls: whether the connection is encrypted: True with the system's root certificates, or a
        PEM file of others.
    """

    address: str
    model_name: str = DEFAULT_MODEL_NAME
    version: int | None = None
    version_label: str | None = None
    timeout: float = DEFAULT_TIMEOUT_SECONDS
    attempts: int = DEFAULT_ATTEMPTS
    tls: bool | Path = False

    def __post_init__(self) -> None:
        """Checks what was given.

        Raises:
          ValueError: the address is not HOST:PORT, both a version and a label are given, the
            number of attempts is not 1 to 5, or the certificates are no file.
        """
        if not re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^\s/:\[\]]+):\d{1,5}", self.address):
            raise ValueError(f"the server's address must be HOST:PORT, got {self.address!r}")
        if self.version is not None and self.version_label is not None:
            raise ValueError("ask for a version or for a version label, not for both")
        if not 1 <= self.attempts <= DEFAULT_ATTEMPTS:
            raise ValueError(f"attempts must be 1 to {DEFAULT_ATTEMPTS}, got {self.attempts}")
        if isinstance(self.tls, Path) and not self.tls.is_file():
            raise ValueError(f"no file of root certificates: {self.tls}")

    def describe(self, protocol: str) -> str:
        """Which model is asked, for people to read."""
        which = ""
        if self.version is not None:
            which = f" version {self.version}"
        elif self.version_label is not None:
            which = f" labelled {self.version_label}"
        return f"{self.model_name}{which} at {self.address} ({protocol})"

    def unreachable(self, protocol: str, message: str) -> ServerUnreachableError:
        """The error for a server that does not answer at all."""
        return ServerUnreachableError(
            f"no answer from {self.address} over {protocol}: {message}; is a model server "
            "running there, and is this its port for this protocol?"
        )

    def late(self, protocol: str, message: str) -> DeadlineExceededError:
        """The error for an answer that did not come in time."""
        return DeadlineExceededError(
            f"{self.describe(protocol)} did not answer within {self.timeout:g} s: {message}"
        )

    def without_signature(
        self, protocol: str, signature: str, message: str
    ) -> MissingSignatureError:
        """The error for a model that lacks a signature."""
        remedy = "; export the model again for explanations"
        return MissingSignatureError(
            f"{self.describe(protocol)}: {message}"
            f"{remedy if signature == EXPLAIN_SIGNATURE else ''}"
        )
