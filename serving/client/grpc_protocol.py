"""TensorFlow Serving's PredictionService, without the I/O: both gRPC clients share it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import grpc

from serving.client.errors import (
    ServerBusyError,
    ServerError,
    exhausted,
    invalid_argument,
    is_missing_signature,
    is_overload,
)
from serving.client.target import FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS, Target
from serving.prediction import INPUT, ModelNotFoundError, PredictionError
from serving.saved_model import import_tensorflow

PROTOCOL = "gRPC"
# A request that does not fit is not sent again: more than any batch of X-rays.
_RETRY_BUFFER_BYTES = 2**30


class GrpcProtocol:
    """Requests to and responses from the PredictionService of one target.

    Its message classes are built on TensorFlow's, so this imports TensorFlow.

    Attributes:
      stub: the class of the service's stub.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._model = target.describe(PROTOCOL)
        self._tf = import_tensorflow()
        from tensorflow_serving.apis import (
            get_model_metadata_pb2,
            predict_pb2,
            prediction_service_pb2_grpc,
        )

        self._predict = predict_pb2
        self._metadata = get_model_metadata_pb2
        self.stub = prediction_service_pb2_grpc.PredictionServiceStub

    def channel_options(self) -> list[tuple[str, Any]]:
        """What the channel is to do: messages of any size, and retries, by gRPC itself."""
        # Unlimited, as on the server: the default of 4 MB is less than a batch of X-rays.
        options: list[tuple[str, Any]] = [
            ("grpc.max_send_message_length", -1),
            ("grpc.max_receive_message_length", -1),
        ]
        if self._target.attempts == 1:
            return [*options, ("grpc.enable_retries", 0)]
        # gRPC goes by the status alone: a message that is larger than the server takes, which is
        # RESOURCE_EXHAUSTED, too, is sent again in vain.
        policy = {
            "maxAttempts": self._target.attempts,
            "initialBackoff": f"{FIRST_WAIT_SECONDS}s",
            "maxBackoff": f"{LONGEST_WAIT_SECONDS}s",
            "backoffMultiplier": 2,
            "retryableStatusCodes": ["UNAVAILABLE", "RESOURCE_EXHAUSTED"],
        }
        # https://github.com/grpc/proposal/blob/master/A6-client-retries.md
        config = {"methodConfig": [{"name": [{}], "retryPolicy": policy}]}
        return [
            *options,
            ("grpc.service_config", json.dumps(config)),
            ("grpc.per_rpc_retry_buffer_size", _RETRY_BUFFER_BYTES),
        ]

    def credentials(self) -> grpc.ChannelCredentials | None:
        """The channel's, None for a connection that is not encrypted."""
        tls = self._target.tls
        if tls is False:
            return None
        roots = tls.read_bytes() if isinstance(tls, Path) else None
        return grpc.ssl_channel_credentials(root_certificates=roots)

    def request(self, images: Sequence[bytes], signature: str) -> Any:
        """A PredictRequest for encoded images."""
        request = self._predict.PredictRequest()
        self._specify(request.model_spec)
        request.model_spec.signature_name = signature
        request.inputs[INPUT].CopyFrom(self._tf.make_tensor_proto(list(images), self._tf.string))
        return request

    def outputs(self, response: Any) -> Mapping[str, Any]:
        """NumPy arrays out of a PredictResponse."""
        return {name: self._tf.make_ndarray(tensor) for name, tensor in response.outputs.items()}

    def metadata_request(self) -> Any:
        """A GetModelMetadataRequest, whose answer names the version."""
        request = self._metadata.GetModelMetadataRequest(metadata_field=["signature_def"])
        self._specify(request.model_spec)
        return request

    def translated(self, error: Any, signature: str = "") -> PredictionError:
        """The error of the status that a call ended with, with the server's message."""
        message = error.details() or "no details"
        match error.code():
            case grpc.StatusCode.UNAVAILABLE if is_overload(message):
                return ServerBusyError(f"{self._model}: the server is busy: {message}")
            case grpc.StatusCode.UNAVAILABLE:
                return self._target.unreachable(PROTOCOL, message)
            case grpc.StatusCode.RESOURCE_EXHAUSTED:
                return exhausted(self._model, message)
            case grpc.StatusCode.DEADLINE_EXCEEDED:
                return self._target.late(PROTOCOL, message)
            case grpc.StatusCode.NOT_FOUND:
                return ModelNotFoundError(f"{self._model}: {message}")
            case _ if is_missing_signature(message):
                return self._target.without_signature(PROTOCOL, signature, message)
            case grpc.StatusCode.INVALID_ARGUMENT:
                return invalid_argument(self._model, message)
            case code:
                return ServerError(f"{self._model}: {code.name}: {message}")

    def _specify(self, spec: Any) -> None:
        spec.name = self._target.model_name
        if self._target.version is not None:
            spec.version.value = self._target.version
        elif self._target.version_label is not None:
            spec.version_label = self._target.version_label
