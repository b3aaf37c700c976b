"""TensorFlow Serving's gRPC services, and gRPC's own of health.

Messages arrive as bytes: so a client that never sends one holds no thread, and one that sends
garbage is answered INVALID_ARGUMENT.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeAlias, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    model_pb2,
    predict_pb2,
    regression_pb2,
)

from serving.server import inference, model_config
from serving.server.config import ServerConfig
from serving.server.errors import Code, ServerConfigError, StatusError, invalid
from serving.server.inference import Call
from serving.server.servable import Servable
from serving.server.service import Service
from serving.server.tls import TLS

_log = logging.getLogger(__name__)

M = TypeVar("M", bound=Message)
_Answer: TypeAlias = Callable[[Any, float | None], Awaitable[Message]]

# The names under which TensorFlow Serving reports its health; "" is the server's.
HEALTH_NAMES = ("", "ModelService", "PredictionService")
# Calls that are open at once, most of them waiting to be refused.
_MAX_CALLS = 1024


class GrpcFront:
    """The gRPC port."""

    def __init__(self, service: Service, config: ServerConfig, tls: TLS | None) -> None:
        """Prepares the port.

        Raises:
          ServerConfigError: it cannot be listened on.
        """
        self._service = service
        self._config = config
        idle = int(1000 * config.client_timeout_seconds)
        self._server = grpc.aio.server(
            maximum_concurrent_rpcs=_MAX_CALLS,
            options=[
                ("grpc.max_receive_message_length", config.max_request_bytes),
                ("grpc.max_send_message_length", -1),
                ("grpc.so_reuseport", 0),  # two servers on one port would share its clients
                ("grpc.server_handshake_timeout_ms", idle),
                # Peers that are gone without a word are found out.
                ("grpc.keepalive_time_ms", idle),
                ("grpc.keepalive_timeout_ms", idle),
                ("grpc.keepalive_permit_without_calls", 1),
            ],
        )
        self._server.add_generic_rpc_handlers(
            (
                grpc.method_handlers_generic_handler(
                    "tensorflow.serving.PredictionService",
                    {
                        "Predict": self._handler(predict_pb2.PredictRequest, self._predict),
                        "Classify": self._handler(
                            classification_pb2.ClassificationRequest, self._classify
                        ),
                        "Regress": self._handler(regression_pb2.RegressionRequest, self._regress),
                        "MultiInference": self._handler(
                            inference_pb2.MultiInferenceRequest, self._multi_inference
                        ),
                        "GetModelMetadata": self._handler(
                            get_model_metadata_pb2.GetModelMetadataRequest, self._metadata
                        ),
                    },
                ),
                grpc.method_handlers_generic_handler(
                    "tensorflow.serving.ModelService",
                    {
                        "GetModelStatus": self._handler(
                            get_model_status_pb2.GetModelStatusRequest, self._status
                        ),
                        "HandleReloadConfigRequest": self._handler(
                            model_management_pb2.ReloadConfigRequest, self._reload
                        ),
                    },
                ),
            )
        )
        self._health = health.aio.HealthServicer()
        if config.enable_grpc_healthcheck_service:
            health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        address = f"{_bracketed(config.host)}:{config.port}"
        try:
            if tls:
                self.port = self._server.add_secure_port(address, tls.grpc_credentials())
            else:
                self.port = self._server.add_insecure_port(address)
        except RuntimeError as error:
            raise ServerConfigError(
                f"gRPC cannot listen on {address}: is the port in use? ({error})"
            ) from error

    async def start(self) -> None:
        """Opens the port, and reports health."""
        await self._set_health(health_pb2.HealthCheckResponse.SERVING)
        await self._server.start()

    async def drain(self) -> None:
        """Tells who asks that the server is about to go."""
        await self._set_health(health_pb2.HealthCheckResponse.NOT_SERVING)

    async def stop(self, grace: float) -> None:
        """Takes no more requests, and returns when those that run are answered, or cut off."""
        await self._server.stop(grace)

    async def _set_health(self, status: health_pb2.HealthCheckResponse.ServingStatus) -> None:
        for name in HEALTH_NAMES:
            await self._health.set(name, status)

    def _handler(self, request_class: type[M], answer: _Answer) -> grpc.RpcMethodHandler:
        """A handler of one message in and one out.

        To gRPC it is one of a stream of messages in: then it is the handler who waits for the
        message, and who can stop waiting.
        """

        async def handle(
            messages: AsyncIterator[bytes], context: grpc.aio.ServicerContext
        ) -> bytes:
            left = context.time_remaining()
            deadline = None if left is None else time.monotonic() + left
            try:
                raw = await asyncio.wait_for(anext(messages), self._config.client_timeout_seconds)
                response = await answer(request_class.FromString(raw), deadline)
                return response.SerializeToString()
            except StatusError as error:
                status = error
            except DecodeError:
                status = invalid(f"The message is not a {request_class.DESCRIPTOR.full_name}.")
            except StopAsyncIteration:
                status = invalid("The call has no message.")
            except TimeoutError:
                status = StatusError(
                    Code.DEADLINE_EXCEEDED, "the request's message did not arrive in time"
                )
            return await context.abort(status.code, status.message)

        return grpc.stream_unary_rpc_method_handler(handle)

    async def _infer(
        self,
        api: str,
        spec: model_pb2.ModelSpec,
        work: Callable[[Servable, Call], M],
        deadline: float | None,
    ) -> M:
        return await self._service.answer("GRPC", api, spec, work, deadline)

    async def _predict(
        self, request: predict_pb2.PredictRequest, deadline: float | None
    ) -> Message:
        return await self._infer(
            "Predict",
            _spec_of(request),
            lambda servable, call: inference.predict(servable, request, call),
            deadline,
        )

    async def _classify(
        self, request: classification_pb2.ClassificationRequest, deadline: float | None
    ) -> Message:
        return await self._infer(
            "Classify",
            _spec_of(request),
            lambda servable, call: inference.classify(servable, request, call),
            deadline,
        )

    async def _regress(
        self, request: regression_pb2.RegressionRequest, deadline: float | None
    ) -> Message:
        return await self._infer(
            "Regress",
            _spec_of(request),
            lambda servable, call: inference.regress(servable, request, call),
            deadline,
        )

    async def _multi_inference(
        self, request: inference_pb2.MultiInferenceRequest, deadline: float | None
    ) -> Message:
        inference.check_tasks(request)
        return await self._infer(
            "MultiInference",
            _spec_of(request.tasks[0]),
            lambda servable, call: inference.multi_inference(servable, request, call),
            deadline,
        )

    async def _metadata(
        self, request: get_model_metadata_pb2.GetModelMetadataRequest, _: float | None
    ) -> Message:
        inference.check_metadata_fields(request)
        with self._service.models.acquire(_spec_of(request)) as servable:
            return inference.metadata(servable, request)

    async def _status(
        self, request: get_model_status_pb2.GetModelStatusRequest, _: float | None
    ) -> Message:
        return self._service.models.status(_spec_of(request))

    async def _reload(
        self, request: model_management_pb2.ReloadConfigRequest, _: float | None
    ) -> Message:
        before = self._service.metrics.totals()
        settings = model_config.from_proto(request.config)
        # It loads models, which takes long: in a thread of its own, before no request's.
        await asyncio.to_thread(self._service.models.configure, settings)
        response = model_management_pb2.ReloadConfigResponse()
        response.status.SetInParent()
        after = self._service.metrics.totals()
        for name in request.metric_names:
            response.metric.add(
                name=name, int64_value_increase=after.get(name, 0) - before.get(name, 0)
            )
        return response


def _spec_of(request: Any) -> model_pb2.ModelSpec:
    if not request.HasField("model_spec"):
        raise invalid("Missing ModelSpec")
    return request.model_spec


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
