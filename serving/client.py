"""Clients of TensorFlow Serving: the same predictions over gRPC or REST.

Both are `serving.prediction.Predictor`s, so a bad image costs only its own answer, and both
translate the server's status codes into the same typed errors.
"""

from __future__ import annotations

import base64
import re
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import grpc
import requests

from serving.prediction import (
    DEFAULT_BATCH_SIZE,
    INPUT,
    SIGNATURE,
    BatchRefusedError,
    ModelContractError,
    ModelNotFoundError,
    PredictionError,
    Predictor,
    refusal,
)
from serving.saved_model import import_tensorflow

DEFAULT_MODEL_NAME = "cxr"
DEFAULT_TIMEOUT_SECONDS = 30.0


class ServerUnreachableError(PredictionError):
    """Nothing answers at the address."""


class DeadlineExceededError(PredictionError):
    """The answer did not come within the client's or the server's time limit."""


class ServerError(PredictionError):
    """The server answered with an error of its own, or not as TensorFlow Serving does."""


class ServingClient(Predictor):
    """What both protocols share: whom to ask, for which model, and how long to wait.

    Attributes:
      address: "host:port".
      model_name: the name that the server gives the model.
      version: the version to ask for; None for the server's latest.
      version_label: the label of the version to ask for, "stable" for example.
      timeout: seconds to wait for one batch.
    """

    protocol: str

    def __init__(
        self,
        address: str,
        *,
        model_name: str = DEFAULT_MODEL_NAME,
        version: int | None = None,
        version_label: str | None = None,
        timeout: float = DEFAULT_TIMEOUT_SECONDS,
        batch_size: int = DEFAULT_BATCH_SIZE,
    ) -> None:
        """Remembers the server; the first prediction connects.

        Raises:
          ValueError: the address is not HOST:PORT, or both a version and a label are given.
        """
        if not re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^\s/:\[\]]+):\d{1,5}", address):
            raise ValueError(f"the server's address must be HOST:PORT, got {address!r}")
        if version is not None and version_label is not None:
            raise ValueError("ask for a version or for a version label, not for both")
        which = ""
        if version is not None:
            which = f" version {version}"
        elif version_label is not None:
            which = f" labelled {version_label}"
        super().__init__(f"{model_name}{which} at {address} ({self.protocol})", batch_size)
        self.address = address
        self.model_name = model_name
        self.version = version
        self.version_label = version_label
        self.timeout = timeout
        self._prepare()

    @abstractmethod
    def _prepare(self) -> None:
        """Builds what requests are sent with, once everything else is known."""

    def _unreachable(self, message: str) -> ServerUnreachableError:
        return ServerUnreachableError(
            f"no answer from {self.address} over {self.protocol}: {message}; is TensorFlow "
            "Serving running there, and is this its port for this protocol?"
        )

    def _deadline_exceeded(self, message: str) -> DeadlineExceededError:
        return DeadlineExceededError(
            f"{self.model} did not answer within {self.timeout:g} s: {message}"
        )


class GrpcClient(ServingClient):
    """Asks TensorFlow Serving's PredictionService; port 8500 by its convention.

    The service's message classes are built on TensorFlow's, so this client imports
    TensorFlow; `RestClient` does not.
    """

    protocol = "gRPC"

    def _prepare(self) -> None:
        self._tf = import_tensorflow()
        from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

        self._messages = predict_pb2
        # Unlimited, as on the server: the default of 4 MB is less than a batch of X-rays.
        self._channel = grpc.insecure_channel(
            self.address,
            options=[
                ("grpc.max_send_message_length", -1),
                ("grpc.max_receive_message_length", -1),
            ],
        )
        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)

    def run(self, images: Sequence[bytes], signature: str = SIGNATURE) -> Mapping[str, Any]:
        """See `Predictor.run`; outputs are NumPy arrays.

        Raises:
          ServerUnreachableError, DeadlineExceededError, ModelNotFoundError, ServerError: by
            the status code; the message is the server's.
        """
        request = self._messages.PredictRequest()
        request.model_spec.name = self.model_name
        request.model_spec.signature_name = signature
        if self.version is not None:
            request.model_spec.version.value = self.version
        elif self.version_label is not None:
            request.model_spec.version_label = self.version_label
        request.inputs[INPUT].CopyFrom(self._tf.make_tensor_proto(list(images), self._tf.string))
        try:
            response = self._stub.Predict(request, timeout=self.timeout)
        except grpc.RpcError as error:
            raise self._translated(error.code(), error.details() or "no details") from error
        return {name: self._tf.make_ndarray(tensor) for name, tensor in response.outputs.items()}

    def close(self) -> None:
        """Closes the channel."""
        self._channel.close()

    def _translated(self, code: grpc.StatusCode, message: str) -> PredictionError:
        match code:
            case grpc.StatusCode.UNAVAILABLE if not _is_overload(message):
                return self._unreachable(message)
            case grpc.StatusCode.DEADLINE_EXCEEDED:
                return self._deadline_exceeded(message)
            case grpc.StatusCode.NOT_FOUND:
                return ModelNotFoundError(f"{self.model}: {message}")
            case grpc.StatusCode.INVALID_ARGUMENT:
                return _invalid_argument(self.model, message)
            case _:
                return ServerError(f"{self.model}: {code.name}: {message}")


class RestClient(ServingClient):
    """Asks TensorFlow Serving's REST API; port 8501 by its convention."""

    protocol = "REST"

    def _prepare(self) -> None:
        version = ""
        if self.version is not None:
            version = f"/versions/{self.version}"
        elif self.version_label is not None:
            version = f"/labels/{quote(self.version_label, safe='')}"
        self._url = (
            f"http://{self.address}/v1/models/{quote(self.model_name, safe='')}{version}:predict"
        )
        self._session = requests.Session()

    def run(self, images: Sequence[bytes], signature: str = SIGNATURE) -> Mapping[str, Any]:
        """See `Predictor.run`; outputs are lists.

        Raises:
          ServerUnreachableError, DeadlineExceededError, ModelNotFoundError, ServerError: by
            the HTTP status; the message is the server's.
          ModelContractError: the answer does not name its outputs.
        """
        # A signature with one input takes its values bare: the object with the one key "b64"
        # is a value, standard base64 that the server decodes.
        instances = [{"b64": base64.b64encode(image).decode("ascii")} for image in images]
        try:
            response = self._session.post(
                self._url,
                json={"signature_name": signature, "instances": instances},
                timeout=self.timeout,
            )
        except requests.Timeout as error:
            raise self._deadline_exceeded("the client stopped waiting") from error
        except requests.RequestException as error:
            raise self._unreachable(_connection_failure(error)) from error
        answer = self._json(response)
        if response.status_code != requests.codes.ok:
            raise self._translated(response.status_code, str(answer.get("error", answer)))
        return self._columns(answer)

    def close(self) -> None:
        """Closes the session's connections."""
        self._session.close()

    def _json(self, response: requests.Response) -> dict[str, Any]:
        try:
            answer = response.json()
        except requests.JSONDecodeError as error:
            raise self._unlike_serving(response) from error
        if not isinstance(answer, dict):
            raise self._unlike_serving(response)
        return answer

    def _unlike_serving(self, response: requests.Response) -> ServerError:
        return ServerError(
            f"{self.address} answers HTTP {response.status_code} but not as TensorFlow Serving "
            f"does: {response.text[:200]!r}; is this its REST port?"
        )

    def _columns(self, answer: dict[str, Any]) -> dict[str, list[Any]]:
        """Turns REST's row per image into the outputs by name."""
        rows = answer.get("predictions")
        if not isinstance(rows, list) or not rows:
            raise ServerError(f"{self.model}: an answer without predictions")
        if not all(isinstance(row, dict) for row in rows):
            # The row form drops the name of an only output.
            raise ModelContractError(
                f"{self.model}: {SIGNATURE} has a single output, which REST does not name"
            )
        return {name: [row[name] for row in rows] for name in rows[0]}

    def _translated(self, status: int, message: str) -> PredictionError:
        match status:
            case requests.codes.gateway_timeout:
                return self._deadline_exceeded(message)
            case requests.codes.not_found:
                return ModelNotFoundError(f"{self.model}: {message}")
            case requests.codes.bad_request:
                return _invalid_argument(self.model, message)
            case _:
                return ServerError(f"{self.model}: HTTP {status}: {message}")


# INVALID_ARGUMENT stands for two things: a request that no image could save, of which these
# are TensorFlow Serving's messages, and an image that the graph cannot decode, whose messages
# are as many as there are decoders. The first kind is the one that can be listed.
_FAULTY_REQUEST = re.compile(
    r"Missing ModelSpec|ModelSpec has no name|input size does not match signature|"
    r"(in|out)put tensor alias|Serving signature|not found in signature|Expects arg\[|"
    r"Batching Run\(\)|Missing 'inputs'|JSON|Failed to process element|instances is a plain|"
    r"Malformed request|Failed to convert version"
)


def _invalid_argument(model: str, message: str) -> PredictionError:
    if message.startswith("Unrecognized servable version label"):
        return ModelNotFoundError(f"{model}: {message}")
    if _FAULTY_REQUEST.search(message):
        return ServerError(f"{model}: the request does not fit the model: {message}")
    return BatchRefusedError(refusal(message))


def _is_overload(message: str) -> bool:
    return message.startswith("The batch scheduling queue")


def _connection_failure(error: requests.RequestException) -> str:
    """The operating system's words, out of the wrappings of requests and urllib3."""
    found = re.search(r"\[Errno -?\d+\] [\w ,.-]+", str(error))
    return found.group() if found else str(error)
