"""TensorFlow Serving's REST API, without the I/O: both REST clients share it."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import tenacity

from serving.client.errors import (
    TRANSIENT,
    ServerError,
    exhausted,
    invalid_argument,
    is_missing_signature,
)
from serving.client.target import FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS, Target
from serving.prediction import (
    BatchRefusedError,
    ModelContractError,
    ModelNotFoundError,
    PredictionError,
)

PROTOCOL = "REST"
HEADERS = {"Content-Type": "application/json"}
# The values of outputs of such names are binary, in base64.
_BINARY = "_bytes"


class RestProtocol:
    """Requests to and responses from the REST API of one target.

    Attributes:
      predict_url: takes a POST of `body`.
      metadata_url: answers a GET with what `served_version` reads.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._model = target.describe(PROTOCOL)
        version = ""
        if target.version is not None:
            version = f"/versions/{target.version}"
        elif target.version_label is not None:
            version = f"/labels/{quote(target.version_label, safe='')}"
        scheme = "http" if target.tls is False else "https"
        name = quote(target.model_name, safe="")
        url = f"{scheme}://{target.address}/v1/models/{name}{version}"
        self.predict_url = f"{url}:predict"
        self.metadata_url = f"{url}/metadata"

    def retries(self) -> dict[str, Any]:
        """How tenacity is to try: the gRPC clients' policy, within the same deadline."""
        target = self._target
        return {
            "retry": tenacity.retry_if_exception_type(TRANSIENT),
            "stop": tenacity.stop_after_attempt(target.attempts)
            | tenacity.stop_before_delay(target.timeout),
            "wait": tenacity.wait_exponential_jitter(
                FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS, jitter=FIRST_WAIT_SECONDS
            ),
            "reraise": True,
        }

    def body(self, images: Sequence[bytes], signature: str) -> bytes:
        """The JSON that asks for encoded images."""
        # A signature with one input takes its values bare: the object with the one key "b64"
        # is a value, standard base64 that the server decodes.
        instances = [{"b64": base64.b64encode(image).decode("ascii")} for image in images]
        return json.dumps({"signature_name": signature, "instances": instances}).encode()

    def outputs(self, status: int, text: str, signature: str) -> Mapping[str, Any]:
        """The outputs by name, as lists, out of an answer.

        Raises:
          PredictionError: of the kind that the HTTP status stands for.
          ModelContractError: the answer does not name its outputs.
        """
        rows = self._answer(status, text, signature).get("predictions")
        if not isinstance(rows, list) or not rows:
            raise ServerError(f"{self._model}: an answer without predictions")
        if not all(isinstance(row, dict) for row in rows):
            # The row form drops the name of an only output.
            raise ModelContractError(
                f"{self._model}: {signature} has a single output, which REST does not name"
            )
        return {name: [_value(name, row[name]) for row in rows] for name in rows[0]}

    def served_version(self, status: int, text: str) -> int:
        """The version that answers, out of the model's metadata."""
        answer = self._answer(status, text)
        # OpenVINO Model Server writes protocol buffers' JSON names.
        spec = answer.get("model_spec") or answer.get("modelSpec")
        try:
            return int(spec["version"])  # type: ignore[index]
        except (TypeError, KeyError, ValueError) as error:
            raise ServerError(f"{self._model}: metadata without a version") from error

    def unreachable(self, message: str) -> PredictionError:
        """The error for a connection that failed."""
        return self._target.unreachable(PROTOCOL, message)

    def late(self) -> PredictionError:
        """The error for an answer that the client no longer waits for."""
        return self._target.late(PROTOCOL, "the client stopped waiting")

    def _answer(self, status: int, text: str, signature: str = "") -> dict[str, Any]:
        try:
            answer = json.loads(text)
        except ValueError:
            answer = None
        if status != HTTPStatus.OK:
            # A proxy in between says in its own way that it is busy.
            known = isinstance(answer, dict) and "error" in answer
            message = str(answer["error"]) if known else f"HTTP {status}: {text[:200]!r}"
            if known or status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
                raise self._translated(status, message, signature)
        if not isinstance(answer, dict) or status != HTTPStatus.OK:
            raise ServerError(
                f"{self._target.address} answers HTTP {status} but not as TensorFlow Serving "
                f"does: {text[:200]!r}; is this its REST port?"
            )
        return answer

    def _translated(self, status: int, message: str, signature: str) -> PredictionError:
        match status:
            case HTTPStatus.TOO_MANY_REQUESTS | HTTPStatus.SERVICE_UNAVAILABLE:
                return exhausted(self._model, message)
            case HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
                return BatchRefusedError(message)
            case HTTPStatus.GATEWAY_TIMEOUT:
                return self._target.late(PROTOCOL, message)
            case HTTPStatus.NOT_FOUND:
                return ModelNotFoundError(f"{self._model}: {message}")
            case HTTPStatus.BAD_REQUEST if is_missing_signature(message):
                return self._target.without_signature(PROTOCOL, signature, message)
            case HTTPStatus.BAD_REQUEST:
                return invalid_argument(self._model, message)
            case _:
                return ServerError(f"{self._model}: HTTP {status}: {message}")


def _value(name: str, value: Any) -> Any:
    if name.endswith(_BINARY) and isinstance(value, dict):
        return base64.b64decode(value["b64"])
    return value
