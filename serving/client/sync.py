"""Clients for code that waits: gRPC over grpcio, REST over requests."""

from __future__ import annotations

import re
import time
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, Unpack

import grpc
import requests
import tenacity

from serving.client import grpc_protocol, rest_protocol
from serving.client.grpc_protocol import GrpcProtocol
from serving.client.rest_protocol import RestProtocol
from serving.client.target import Target, TargetOptions
from serving.prediction import SIGNATURE, Predictor

# A server answers small batches sooner, and some of them at once.
DEFAULT_BATCH_SIZE = 8
DEFAULT_CONCURRENCY = 4

T = TypeVar("T")


class ServingClient(Predictor):
    """A `Predictor` whose model runs on a server.

    Attributes:
      target: whom it asks, for which model.
    """

    protocol: str

    def __init__(
        self,
        address: str,
        *,
        batch_size: int = DEFAULT_BATCH_SIZE,
        concurrency: int = DEFAULT_CONCURRENCY,
        **options: Unpack[TargetOptions],
    ) -> None:
        """Remembers the server; the first prediction connects.

        Args:
          address: "host:port".
          batch_size: the most images in one request.
          concurrency: the most requests that are under way at once.
          **options: the fields of `Target`: which model, how patiently, over TLS or not.

        Raises:
          ValueError: one of these cannot be; says which.
        """
        self.target = Target(address, **options)
        super().__init__(self.target.describe(self.protocol), batch_size, concurrency)

    @abstractmethod
    def served_version(self) -> int:
        """The version that answers just now: the latest, or the one that has the label.

        Raises:
          ModelNotFoundError: the server has no such model, version or label.
          PredictionError: anything else that keeps the server from answering.
        """


class GrpcClient(ServingClient):
    """Asks TensorFlow Serving's PredictionService; port 8500 by its convention.

    The service's message classes are built on TensorFlow's, so this client imports
    TensorFlow; `RestClient` does not.
    """

    protocol = grpc_protocol.PROTOCOL

    def __init__(self, address: str, **options: Any) -> None:
        """See `ServingClient`."""
        super().__init__(address, **options)
        self._protocol = GrpcProtocol(self.target)
        channel, credentials = self._protocol.channel_options(), self._protocol.credentials()
        if credentials is None:
            self._channel = grpc.insecure_channel(address, channel)
        else:
            self._channel = grpc.secure_channel(address, credentials, channel)
        self._stub = self._protocol.stub(self._channel)

    def run(self, images: Sequence[bytes], signature: str = SIGNATURE) -> Mapping[str, Any]:
        """See `Predictor.run`; outputs are NumPy arrays.

        Raises:
          ServerUnreachableError, ServerBusyError, DeadlineExceededError, ModelNotFoundError,
            ServerError: by the status code; the message is the server's.
        """
        request = self._protocol.request(images, signature)
        try:
            response = self._stub.Predict(request, timeout=self.target.timeout)
        except grpc.RpcError as error:
            raise self._protocol.translated(error, signature) from error
        return self._protocol.outputs(response)

    def served_version(self) -> int:
        """See `ServingClient.served_version`."""
        request = self._protocol.metadata_request()
        try:
            response = self._stub.GetModelMetadata(request, timeout=self.target.timeout)
        except grpc.RpcError as error:
            raise self._protocol.translated(error) from error
        return response.model_spec.version.value

    def close(self) -> None:
        """Closes the channel."""
        self._channel.close()


class RestClient(ServingClient):
    """Asks TensorFlow Serving's REST API; port 8501 by its convention."""

    protocol = rest_protocol.PROTOCOL

    def __init__(self, address: str, **options: Any) -> None:
        """See `ServingClient`."""
        super().__init__(address, **options)
        self._protocol = RestProtocol(self.target)
        self._session = requests.Session()
        adapter = requests.adapters.HTTPAdapter(pool_maxsize=self.concurrency)
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)
        tls = self.target.tls
        # Given with each request: the environment's REQUESTS_CA_BUNDLE outdoes the session's.
        self._verify = str(tls) if isinstance(tls, Path) else None

    def run(self, images: Sequence[bytes], signature: str = SIGNATURE) -> Mapping[str, Any]:
        """See `Predictor.run`; outputs are lists.

        Raises:
          ServerUnreachableError, ServerBusyError, DeadlineExceededError, ModelNotFoundError,
            ServerError: by the HTTP status; the message is the server's.
          ModelContractError: the answer does not name its outputs.
        """
        body = self._protocol.body(images, signature)
        return self._retried(
            lambda seconds: self._session.post(
                self._protocol.predict_url,
                data=body,
                headers=rest_protocol.HEADERS,
                timeout=seconds,
                verify=self._verify,
            ),
            lambda status, text: self._protocol.outputs(status, text, signature),
        )

    def served_version(self) -> int:
        """See `ServingClient.served_version`."""
        return self._retried(
            lambda seconds: self._session.get(
                self._protocol.metadata_url, timeout=seconds, verify=self._verify
            ),
            self._protocol.served_version,
        )

    def close(self) -> None:
        """Closes the session's connections."""
        self._session.close()

    def _retried(
        self, send: Callable[[float], requests.Response], read: Callable[[int, str], T]
    ) -> T:
        deadline = time.monotonic() + self.target.timeout

        def attempt() -> T:
            try:
                response = send(max(deadline - time.monotonic(), 0.001))
            except requests.Timeout as error:
                raise self._protocol.late() from error
            except requests.RequestException as error:
                raise self._protocol.unreachable(_connection_failure(error)) from error
            return read(response.status_code, response.text)

        return tenacity.Retrying(**self._protocol.retries())(attempt)


def _connection_failure(error: requests.RequestException) -> str:
    """The operating system's words, out of the wrappings of requests and urllib3."""
    found = re.search(r"\[Errno -?\d+\] [\w ,.-]+", str(error))
    return found.group() if found else str(error)
