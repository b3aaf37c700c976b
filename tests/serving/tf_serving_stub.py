"""A small server that speaks TensorFlow Serving's Predict over gRPC and REST, for tests.

It answers from a real SavedModel, with the status codes and messages of the real server. What
it knows of the protocol is written down here alone, so that the clients are not tested
against their own assumptions.
"""

import base64
import functools
import json
import re
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import unquote

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    predict_pb2,
    prediction_service_pb2_grpc,
)

HTTP_STATUS = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.INTERNAL: 500,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
}


class StatusError(Exception):
    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


_load = functools.cache(tf.saved_model.load)


class TFServingStub:
    """Serves the versions of one model on free loopback ports, inside a `with` block.

    Attributes:
      delay: seconds that every prediction takes longer; settable while it runs.
      rest_timeout: seconds after which REST answers 504 instead.
      failure: raised instead of predicting, when set.
      failures: so many predictions fail so, from now on; all when None.
      most_running: the most predictions that ran at once.
      served_versions: the version of every answered request, in order.
      batch_sizes: the number of images in every request that reached the model.
      rest_connections: how many connections the REST port has accepted.
    """

    def __init__(
        self,
        base_dir: Path,
        *,
        name: str = "cxr",
        labels: dict[str, int] | None = None,
        tls: tuple[Path, Path] | None = None,
    ):
        """Loads the versions in a folder; `tls` names a private key and its certificate."""
        self.name = name
        self.labels = labels or {}
        self.tls = tls
        self.versions = {int(path.name): _load(str(path)) for path in base_dir.iterdir()}
        self.delay = 0.0
        self.rest_timeout = 30.0
        self.failure: StatusError | None = None
        self.failures: int | None = None
        self.most_running = 0
        self._running = 0
        self.served_versions: list[int] = []
        self.batch_sizes: list[int] = []
        self.rest_connections = 0
        self._closing = threading.Event()
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self._grpc = grpc.server(
            ThreadPoolExecutor(4),
            options=[
                ("grpc.max_receive_message_length", -1),
                ("grpc.max_send_message_length", -1),
            ],
        )
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
            _PredictionService(self), self._grpc
        )
        self.grpc_address = f"127.0.0.1:{self._grpc_port()}"
        self._grpc.start()
        self._rest = _RestServer(("127.0.0.1", 0), RestHandler)
        self._rest.stub = self
        if self.tls:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(self.tls[1], self.tls[0])
            self._rest.socket = context.wrap_socket(self._rest.socket, server_side=True)
        self.rest_address = f"127.0.0.1:{self._rest.server_port}"
        threading.Thread(target=self._rest.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._rest.shutdown()
        self._rest.server_close()
        self._grpc.stop(None).wait()

    def _grpc_port(self) -> int:
        if not self.tls:
            return self._grpc.add_insecure_port("127.0.0.1:0")
        pair = (self.tls[0].read_bytes(), self.tls[1].read_bytes())
        return self._grpc.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([pair]))

    def find_version(self, name: str, version: int | None, label: str | None) -> int:
        if label is not None and name == self.name:
            if label not in self.labels:
                raise StatusError(
                    grpc.StatusCode.INVALID_ARGUMENT,
                    f"Unrecognized servable version label: {label}",
                )
            version = self.labels[label]
        if name == self.name and version is None:
            return max(self.versions)
        if name == self.name and version in self.versions:
            return version
        wanted = f"Latest({name})" if version is None else f"Specific({name}, {version})"
        raise StatusError(grpc.StatusCode.NOT_FOUND, f"Servable not found for request: {wanted}")

    def signature(self, version: int, name: str) -> Any:
        return self.versions[version].signatures[name or "serving_default"]

    def _fail(self) -> None:
        if self.failure and self.failures != 0:
            self.failures = self.failures and self.failures - 1
            raise self.failure

    def predict(self, version: int, signature: Any, inputs: dict[str, Any]) -> dict[str, Any]:
        self.batch_sizes += [len(value) for value in inputs.values()]
        with self._lock:
            self._running += 1
            self.most_running = max(self.most_running, self._running)
        try:
            if self.delay:
                self._closing.wait(self.delay)
            self._fail()
        finally:
            self._running -= 1
        required = set(signature.structured_input_signature[1])
        if set(inputs) != required:
            raise StatusError(
                grpc.StatusCode.INVALID_ARGUMENT,
                f"input size does not match signature: {len(inputs)}!={len(required)} "
                f"len({{{','.join(inputs)}}}) != len({{{','.join(required)}}}). "
                f"Sent extra: {{{','.join(set(inputs) - required)}}}. "
                f"Missing but required: {{{','.join(required - set(inputs))}}}.",
            )
        try:
            outputs = signature(**{k: tf.constant(v, tf.string) for k, v in inputs.items()})
        except tf.errors.InvalidArgumentError as error:
            # The server's C++ knows nothing of the Python frames that TensorFlow puts first.
            cause = error.message.split("<stack traces unavailable>\n")[-1]
            raise StatusError(
                grpc.StatusCode.INVALID_ARGUMENT, f"{{{{function_node __inference}}}} {cause}"
            ) from error
        self.served_versions.append(version)
        return {name: output.numpy() for name, output in outputs.items()}


class _PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, stub: TFServingStub) -> None:
        self.stub = stub

    def Predict(  # noqa: N802
        self, request: predict_pb2.PredictRequest, context: grpc.ServicerContext
    ) -> predict_pb2.PredictResponse:
        spec = request.model_spec
        try:
            version = self.version_of(spec)
            try:
                signature = self.stub.signature(version, spec.signature_name)
            except KeyError as error:
                raise StatusError(
                    grpc.StatusCode.FAILED_PRECONDITION,
                    f'Serving signature key "{spec.signature_name}" not found.',
                ) from error
            inputs = {name: list(tf.make_ndarray(t)) for name, t in request.inputs.items()}
            outputs = self.stub.predict(version, signature, inputs)
        except StatusError as error:
            context.abort(error.code, error.message)
        response = predict_pb2.PredictResponse()
        response.model_spec.name = spec.name
        response.model_spec.version.value = version
        response.model_spec.signature_name = spec.signature_name or "serving_default"
        for name, value in outputs.items():
            response.outputs[name].CopyFrom(tf.make_tensor_proto(value))
        return response

    def GetModelMetadata(  # noqa: N802
        self, request: get_model_metadata_pb2.GetModelMetadataRequest, context: grpc.ServicerContext
    ) -> get_model_metadata_pb2.GetModelMetadataResponse:
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        try:
            response.model_spec.version.value = self.version_of(request.model_spec)
        except StatusError as error:
            context.abort(error.code, error.message)
        return response

    def version_of(self, spec: Any) -> int:
        return self.stub.find_version(
            spec.name,
            spec.version.value if spec.HasField("version") else None,
            spec.version_label if spec.HasField("version_label") else None,
        )


class _RestServer(ThreadingHTTPServer):
    daemon_threads = True
    stub: TFServingStub

    def process_request(self, request: Any, client_address: Any) -> None:
        self.stub.rest_connections += 1
        super().process_request(request, client_address)


class RestHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _RestServer

    def do_GET(self) -> None:
        stub = self.server.stub
        if self.path.endswith("/metadata"):
            return self.metadata()
        if self.path != f"/v1/models/{stub.name}":
            return self.reply(404, {"error": f"Could not find any versions of model {self.path}"})
        statuses = [
            {
                "version": str(version),
                "state": "AVAILABLE",
                "status": {"error_code": "OK", "error_message": ""},
            }
            for version in sorted(stub.versions, reverse=True)
        ]
        return self.reply(200, {"model_version_status": statuses})

    def metadata(self) -> None:
        try:
            name, version = self.served("/metadata")
        except StatusError as error:
            return self.reply(HTTP_STATUS[error.code], {"error": error.message})
        spec = {"name": name, "signature_name": "", "version": str(version)}
        return self.reply(200, {"model_spec": spec, "metadata": {}})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            rows = self.predictions(body)
        except StatusError as error:
            return self.reply(HTTP_STATUS[error.code], {"error": error.message})
        return self.reply(200, {"predictions": rows})

    def predictions(self, body: bytes) -> list[Any]:
        stub = self.server.stub
        _, found = self.served(":predict")
        request = json.loads(body)
        try:
            signature = stub.signature(found, request.get("signature_name", ""))
        except KeyError as error:
            raise StatusError(
                grpc.StatusCode.INVALID_ARGUMENT,
                f'Serving signature name: "{request["signature_name"]}" not found in signature def',
            ) from error
        if "instances" not in request:
            raise StatusError(
                grpc.StatusCode.INVALID_ARGUMENT, "Missing 'inputs' or 'instances' key"
            )
        values = [base64.b64decode(row["b64"], validate=True) for row in request["instances"]]
        (only_input,) = signature.structured_input_signature[1]
        if stub.delay > stub.rest_timeout:
            raise StatusError(grpc.StatusCode.DEADLINE_EXCEEDED, "Timed out in the session.")
        outputs = stub.predict(found, signature, {only_input: values})
        columns = {key: [_json_value(key, v) for v in value] for key, value in outputs.items()}
        if len(columns) == 1:
            return next(iter(columns.values()))
        rows = zip(*columns.values(), strict=True)
        return [dict(zip(columns, row, strict=True)) for row in rows]

    def served(self, suffix: str) -> tuple[str, int]:
        route = re.fullmatch(
            rf"/v1/models/([^/:]+)(?:/versions/(\d+)|/labels/([^/:]+))?{suffix}", self.path
        )
        if not route:
            raise StatusError(
                grpc.StatusCode.INVALID_ARGUMENT, f"Malformed request: {self.command} {self.path}"
            )
        name, version, label = (part and unquote(part) for part in route.groups())
        return name, self.server.stub.find_version(name, int(version) if version else None, label)

    def reply(self, status: int, content: dict[str, Any]) -> None:
        body = json.dumps(content, indent=1).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing: the tests look at answers."""


def _json_value(name: str, value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return [_json_value(name, one) for one in value]
    if isinstance(value, bytes):
        is_binary = name.endswith("_bytes")
        return {"b64": base64.b64encode(value).decode()} if is_binary else value.decode()
    # The shortest text that is this float32, as the real server prints.
    return float(str(value)) if isinstance(value, np.floating) else value.item()
