"""TensorFlow Serving's REST API, and what is ours beside it: /healthz and the page."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import unquote

from aiohttp import web
from google.protobuf.json_format import MessageToDict
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_pb2,
    regression_pb2,
)

from serving import page
from serving.server import inference, json_answers, json_examples, json_tensor, text_protos
from serving.server.config import ServerConfig
from serving.server.errors import ServerConfigError, StatusError, invalid
from serving.server.inference import DEFAULT_SIGNATURE, Call
from serving.server.metrics import DEFAULT_PATH
from serving.server.servable import Servable
from serving.server.service import Service
from serving.server.tls import TLS

_log = logging.getLogger(__name__)

_WHICH = r"(?:/versions/(?P<version>\d+)|/labels/(?P<label>[^/:]+))?"
_INFER = re.compile(
    rf"/v1/models/(?P<name>[^/:]+){_WHICH}:(?P<method>classify|regress|predict)", re.IGNORECASE
)
_LOOK = re.compile(
    rf"/v1/models(?:/(?P<name>[^/:]+))?{_WHICH}(?P<metadata>/metadata)?", re.IGNORECASE
)
# What closing the port itself may take.
_CLOSING_SECONDS = 0.5
_LINGERING_SECONDS = 5.0
_INT64_MAX = 2**63 - 1
_INT64_DIGITS = len(str(_INT64_MAX))
_CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
    "Access-Control-Allow-Headers": "Content-Type, Content-Encoding",
}

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class RestFront:
    """The REST port."""

    def __init__(self, service: Service, config: ServerConfig, tls: TLS | None) -> None:
        """Reads the monitoring_config_file.

        Raises:
          ServerConfigError: it cannot be used.
        """
        self._service = service
        self._config = config
        self._tls = tls
        self._is_draining = False
        self._runner = web.AppRunner(
            self._app(),
            access_log=None,
            keepalive_timeout=config.client_timeout_seconds,
            shutdown_timeout=config.grace_seconds,
            # How long a client may go on sending what was refused already.
            lingering_time=min(_LINGERING_SECONDS, config.client_timeout_seconds),
        )
        self.port = 0

    def _app(self) -> web.Application:
        app = web.Application(
            client_max_size=self._config.max_request_bytes, middlewares=[self._answer_errors]
        )
        app.router.add_get("/healthz", self._healthz)
        if path := _metrics_path(self._config):
            app.router.add_get(path, self._metrics)
        page.add_routes(app, self._service.models)
        app.router.add_route("*", "/{path:.*}", self._serve)
        return app

    async def start(self) -> None:
        """Opens the port.

        Raises:
          ServerConfigError: it cannot be listened on.
        """
        await self._runner.setup()
        context = self._tls.http_context() if self._tls else None
        site = web.TCPSite(
            self._runner, self._config.host, self._config.rest_api_port, ssl_context=context
        )
        try:
            await site.start()
        except OSError as error:
            raise ServerConfigError(
                f"REST cannot listen on {self._config.host}:{self._config.rest_api_port}: "
                f"{error.strerror}"
            ) from error
        self.port = self._runner.addresses[0][1]

    async def drain(self) -> None:
        """Tells who asks that the server is about to go."""
        self._is_draining = True

    async def stop(self, grace: float) -> None:
        """Takes no more requests, and returns when those that run are answered, or cut off."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._runner.cleanup(), max(grace, _CLOSING_SECONDS))

    @web.middleware
    async def _answer_errors(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        try:
            response = await handler(request)
        except StatusError as error:
            response = _json({"error": error.message}, error.http_status)
        except web.HTTPException as error:
            response = _json({"error": error.text or error.reason}, error.status)
        except ConnectionError:  # nobody is left to be answered
            raise
        except Exception as error:
            _log.exception("a REST request failed")
            response = _json({"error": f"{type(error).__name__} in the server; see its log"}, 500)
        if self._config.rest_api_enable_cors_support:
            response.headers.update(_CORS)
        if self._is_draining:
            response.force_close()
        return response

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        path = request.rel_url.raw_path
        if not path.lower().startswith("/v1/"):
            raise web.HTTPNotFound(text=f"Not found: {path}")
        if request.method == "OPTIONS" and self._config.rest_api_enable_cors_support:
            return web.Response()
        if request.method == "POST" and (match := _INFER.fullmatch(path)):
            return await self._infer(request, match)
        if request.method == "GET" and (match := _LOOK.fullmatch(path)):
            if not match["name"]:
                raise invalid("Missing model name in request.")
            spec = _spec(match)
            return self._metadata(spec) if match["metadata"] else self._status(spec)
        raise invalid(f"Malformed request: {request.method} {path}")

    async def _infer(self, request: web.Request, match: re.Match[str]) -> web.Response:
        deadline = time.monotonic() + self._config.rest_api_timeout_in_ms / 1000
        spec = _spec(match)
        body = await self._body(request)
        method = match["method"].lower()
        work = {"predict": _predict, "classify": _classify, "regress": _regress}[method]
        text = await self._service.answer(
            "REST", method, spec, lambda servable, call: work(servable, call, body), deadline
        )
        return web.Response(body=text, content_type="application/json")

    async def _body(self, request: web.Request) -> bytes:
        try:
            return await asyncio.wait_for(request.read(), self._config.client_timeout_seconds)
        except TimeoutError:
            raise web.HTTPRequestTimeout(text="the request's body did not arrive in time") from None
        except web.HTTPRequestEntityTooLarge:
            raise web.HTTPRequestEntityTooLarge(
                max_size=self._config.max_request_bytes,
                actual_size=request.content_length or 0,
                text=f"the body is larger than {self._config.max_request_bytes:,} bytes",
            ) from None
        except (web.RequestPayloadError, ValueError) as error:
            raise invalid(f"The body cannot be read: {error}") from error

    def _metadata(self, spec: model_pb2.ModelSpec) -> web.Response:
        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        with self._service.models.acquire(spec) as servable:
            response = inference.metadata(servable, request)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        response.metadata["signature_def"].Unpack(signatures)
        return _json(
            {
                "model_spec": {
                    "name": response.model_spec.name,
                    "signature_name": "",
                    "version": str(response.model_spec.version.value),
                },
                "metadata": {"signature_def": _as_dict(signatures)},
            }
        )

    def _status(self, spec: model_pb2.ModelSpec) -> web.Response:
        response: get_model_status_pb2.GetModelStatusResponse = self._service.models.status(spec)
        return _json(_as_dict(response))

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(text=self._service.metrics.text(), content_type="text/plain")

    async def _healthz(self, _: web.Request) -> web.Response:
        """200 if each model has an available version and the server is not about to go."""
        models = self._service.models.available()
        is_ready = bool(models) and all(models.values()) and not self._is_draining
        return _json({"ready": is_ready, "models": dict(models)}, 200 if is_ready else 503)


def _metrics_path(config: ServerConfig) -> str:
    if config.monitoring_config_file is None:
        return DEFAULT_PATH if config.enable_prometheus else ""
    prometheus = text_protos.read_monitoring_config(config.monitoring_config_file).prometheus_config
    if not prometheus.enable:
        return ""
    path = prometheus.path or DEFAULT_PATH
    if not path.startswith("/"):
        raise ServerConfigError(
            f"{config.monitoring_config_file}: path must begin with a slash, got {path!r}"
        )
    return path


def _spec(match: re.Match[str]) -> model_pb2.ModelSpec:
    spec = model_pb2.ModelSpec(name=unquote(match["name"]))
    if match["version"]:
        digits = match["version"].lstrip("0") or "0"
        # Python refuses to convert thousands of digits.
        if len(digits) > _INT64_DIGITS or int(digits) > _INT64_MAX:
            raise invalid(f"Failed to convert version: {match['version']} to numeric.")
        spec.version.value = int(digits)
    elif match["label"]:
        spec.version_label = unquote(match["label"])
    return spec


def _predict(servable: Servable, call: Call, body: bytes) -> bytes:
    request = json_tensor.parse_predict(body)
    name = request.signature_name or DEFAULT_SIGNATURE
    signature = servable.signature(name)
    if signature is None:
        raise invalid(f'Serving signature name: "{name}" not found in signature def')
    arrays = json_tensor.to_arrays(request, signature.inputs)
    outputs = inference.run_signature(signature, arrays, call)
    return json_answers.predictions(outputs, request.format).encode()


def _classify(servable: Servable, call: Call, body: bytes) -> bytes:
    request = classification_pb2.ClassificationRequest()
    request.model_spec.signature_name, request_input = json_examples.parse_examples(body)
    request.input.CopyFrom(request_input)
    return json_answers.classifications(inference.classify(servable, request, call)).encode()


def _regress(servable: Servable, call: Call, body: bytes) -> bytes:
    request = regression_pb2.RegressionRequest()
    request.model_spec.signature_name, request_input = json_examples.parse_examples(body)
    request.input.CopyFrom(request_input)
    return json_answers.regressions(inference.regress(servable, request, call)).encode()


def _as_dict(message: Any) -> dict[str, Any]:
    """A message as TensorFlow Serving writes it: names as in the .proto, defaults too."""
    return MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


def _json(value: Any, status: int = 200) -> web.Response:
    return web.json_response(value, status=status)
