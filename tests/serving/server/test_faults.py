"""Clients that are slow, gone, hostile or too many."""

import base64
import gzip
import json
import random
import socket
import struct
import threading
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import requests
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2

from serving.server.embedded import EmbeddedServer
from tests.serving.server.conftest import (
    Serve,
    answer,
    busy_request,
    request_of,
    rest,
    stub_of,
    until,
)
from tests.serving.tiny_model import encoded_image

CASES = 600
EXPECTED = {
    grpc.StatusCode.OK,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.UNIMPLEMENTED,
}


@pytest.fixture
def toy(serve: Serve, exported: Path, tmp_path: Path) -> EmbeddedServer:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "1").symlink_to(exported / "toy")
    return serve()


@pytest.fixture
def half(serve: Serve, exported: Path, tmp_path: Path) -> Iterator[Any]:
    """Serves half_plus, with the settings of the test."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "1").symlink_to(exported / "plus_1")
    return serve


class TestFuzz:
    def test_garbage_and_mutated_messages(self, toy: EmbeddedServer) -> None:
        rng = random.Random(1)
        valid = [
            request_of(image_bytes=[b"abc"]).SerializeToString(),
            request_of(a=np.float32([1]), b=np.int32([2])).SerializeToString(),
        ]
        with grpc.insecure_channel(f"127.0.0.1:{toy.grpc_port}") as channel:
            methods = [
                channel.unary_unary(f"/tensorflow.serving.{name}")
                for name in (
                    "PredictionService/Predict",
                    "PredictionService/Classify",
                    "PredictionService/Regress",
                    "PredictionService/MultiInference",
                    "PredictionService/GetModelMetadata",
                    "ModelService/GetModelStatus",
                )
            ]
            codes = []
            for number in range(CASES):
                message = mutated(rng, valid[number % 2])
                # Mostly Predict, whose messages these are.
                method = methods[0] if number % 3 else rng.choice(methods)
                try:
                    method(message, timeout=10)
                    codes.append(grpc.StatusCode.OK)
                except grpc.RpcError as error:
                    codes.append(error.code())
        assert set(codes) <= EXPECTED
        assert codes.count(grpc.StatusCode.INVALID_ARGUMENT) > CASES / 4
        assert rest(toy).status_code == 200

    def test_garbage_and_mutated_json(self, toy: EmbeddedServer) -> None:
        rng = random.Random(2)
        bodies = [
            b'{"signature_name": "pair", "instances": [{"a": 1.5, "b": 2}, {"a": 0, "b": 3}]}',
            b'{"signature_name": "matrix", "inputs": [[1, 2], [3, 4]]}',
            b'{"instances": [{"b64": "AP8="}, "text"]}',
            b'{"signature_name": "classify", "examples": [{"x": 0.5}, {"x": {"b64": "AA=="}}]}',
        ]
        url = f"http://127.0.0.1:{toy.rest_port}/v1/models/m"
        statuses = []
        with requests.Session() as session:
            for number in range(CASES):
                body = mutated(rng, bodies[number % 4])
                method = "predict" if number % 4 < 3 else "classify"
                response = session.post(f"{url}:{method}", data=body, timeout=10)
                statuses.append(response.status_code)
                if response.status_code != 200:
                    assert list(response.json()) == ["error"]
        assert set(statuses) <= {200, 400, 501}
        assert statuses.count(400) > CASES / 4

    @pytest.mark.parametrize(
        "body",
        [
            b"[" * 100_000,
            b'{"instances": ' + b"[" * 5_000 + b"]" * 5_000 + b"}",
            b'{"instances": [' + b"9" * 10_000 + b"]}",
            b'{"instances": ["\\ud800"]}',
            b'{"instances": [{"b64": "%%%"}]}',
            b"\xff\xfe",
            b'{"signature_name": "matrix", "inputs": [[1e999, 1]]}',
        ],
        ids=["open", "deep", "long number", "surrogate", "b64", "encoding", "infinite"],
    )
    def test_json_that_is_made_to_hurt(self, toy: EmbeddedServer, body: bytes) -> None:
        assert rest(toy, ":predict", body).status_code in {200, 400}

    def test_one_value_may_not_stand_for_a_terabyte(self, toy: EmbeddedServer) -> None:
        request = request_of(image_bytes=[b"a"])
        for dtype in (tf.float32, tf.string):
            tensor = request.inputs["image_bytes"]
            tensor.Clear()
            tensor.dtype = dtype.as_datatype_enum
            for _ in range(4):
                tensor.tensor_shape.dim.add(size=1_000_000)
            tensor.float_val.append(1)
            tensor.string_val.append(b"a")
            with pytest.raises(grpc.RpcError) as e:
                stub_of(toy).Predict(request, timeout=10)
            assert e.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def mutated(rng: random.Random, message: bytes) -> bytes:
    """Cut, flipped, doubled, with holes; now and then pure garbage."""
    data = bytearray(message)
    for _ in range(rng.randint(1, 4)):
        position = rng.randrange(len(data) + 1)
        match rng.randrange(6):
            case 0:
                del data[position:]
            case 1 if data:
                data[position - 1] ^= 1 << rng.randrange(8)
            case 2:
                data[position:position] = rng.randbytes(rng.randint(1, 8))
            case 3:
                del data[position : position + rng.randint(1, 8)]
            case 4:
                data[position:position] = data[: rng.randint(0, len(data))]
            case 5 if rng.random() < 0.2:
                data = bytearray(rng.randbytes(rng.randint(0, 200)))
    return bytes(data)


def bomb(width: int, height: int) -> bytes:
    """A PNG of few bytes that promises many pixels, and keeps the promise."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    rows = zlib.compressobj(9)
    row = b"\0" * (width // 8 + 1)
    data = b"".join(rows.compress(row) for _ in range(height)) + rows.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


class TestBombs:
    @pytest.fixture
    def tiny(self, serve: Serve, exported: Path, tmp_path: Path) -> EmbeddedServer:
        (tmp_path / "models").mkdir()
        (tmp_path / "models" / "1").symlink_to(exported / "tiny")
        return serve(max_image_pixels=1_000_000, max_request_bytes=2_000_000)

    def test_images_that_unfold_are_refused_before_they_do(self, tiny: EmbeddedServer) -> None:
        image = bomb(20_000, 20_000)
        assert len(image) < 200_000
        fine = request_of(image_bytes=[encoded_image(10), bomb(1000, 1000)])
        stub_of(tiny).Predict(fine, timeout=20)

        with pytest.raises(grpc.RpcError) as e:
            stub_of(tiny).Predict(request_of(image_bytes=[encoded_image(10), image]), timeout=20)
        assert e.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert "400,000,000 pixels" in e.value.details()
        rows = [{"b64": base64.b64encode(image).decode()}]
        response = rest(tiny, ":predict", {"instances": rows})
        assert response.status_code == 400
        assert "400,000,000 pixels" in response.json()["error"]

    def test_bodies_that_are_too_large_are_refused(self, tiny: EmbeddedServer) -> None:
        heavy = b"\0" * 3_000_000
        with pytest.raises(grpc.RpcError) as e:
            stub_of(tiny).Predict(request_of(image_bytes=[heavy]), timeout=20)
        assert e.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED

        response = rest(tiny, ":predict", heavy)
        assert response.status_code == 413
        assert "2,000,000 bytes" in response.json()["error"]

    def test_bodies_that_unfold_are_refused(self, tiny: EmbeddedServer) -> None:
        body = gzip.compress(b'{"instances": ["' + b"0" * 100_000_000 + b'"]}')
        assert len(body) < 200_000
        response = rest(tiny, ":predict", body, headers={"Content-Encoding": "gzip"})
        assert response.status_code == 413
        for broken in (body[:1000], b"no gzip"):
            response = rest(tiny, ":predict", broken, headers={"Content-Encoding": "gzip"})
            assert response.status_code == 400


class TestSlowClients:
    def test_they_hold_up_nobody_and_are_let_go(self, half: Any) -> None:
        server = half(client_timeout_seconds=0.5)
        address = ("127.0.0.1", server.rest_port)
        head = b"POST /v1/models/m:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n"
        sockets = [socket.create_connection(address) for _ in range(60)]
        for number, connection in enumerate(sockets):
            # Nothing, a part of the head, or of the body.
            connection.sendall([b"", head[:30], head + b"\r\n{"][number % 3])
        grpc_sockets = [
            socket.create_connection(("127.0.0.1", server.grpc_port)) for _ in range(20)
        ]

        assert answer(server) == 1
        assert stub_of(server).Predict(request_of(x=np.float32([0])), timeout=5)
        for connection in sockets + grpc_sockets:
            connection.settimeout(10)
            received = b""
            while part := connection.recv(65536):
                received += part
            connection.close()
        assert answer(server) == 1

    def test_a_call_without_a_message_ends(self, half: Any) -> None:
        server = half(client_timeout_seconds=0.3)
        silence = threading.Event()

        def nothing() -> Iterator[bytes]:
            silence.wait(10)
            yield b""

        with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
            call = channel.stream_unary("/tensorflow.serving.PredictionService/Predict")
            with pytest.raises(grpc.RpcError) as e:
                call(nothing(), timeout=10)
            assert e.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
            silence.set()
            with pytest.raises(grpc.RpcError) as e:
                call(iter([]), timeout=10)
            assert e.value.code() == grpc.StatusCode.INVALID_ARGUMENT

    def test_clients_that_vanish_cost_nothing(self, half: Any) -> None:
        server = half()
        body = json.dumps({"instances": [0.0] * 1000}).encode()
        head = (
            f"POST /v1/models/m:predict HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        for _ in range(50):
            connection = socket.create_connection(("127.0.0.1", server.rest_port))
            # Gone with a reset, before the answer.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.sendall(head.encode() + body)
            connection.close()
        until(lambda: server.pending == 0)
        assert answer(server) == 1


class TestOverload:
    @pytest.fixture
    def busy(self, serve: Serve, exported: Path, tmp_path: Path) -> EmbeddedServer:
        (tmp_path / "models").mkdir()
        (tmp_path / "models" / "1").symlink_to(exported / "busy")
        return serve(max_running_requests=1, max_queued_requests=2, enable_prometheus=True)

    def test_some_are_answered_the_others_refused_at_once_and_then_all_is_well(
        self, busy: EmbeddedServer
    ) -> None:
        stub = stub_of(busy)

        def ask(number: int) -> tuple[str, float]:
            start = time.monotonic()
            if number % 2:
                response = rest(busy, ":predict", {"instances": [500]})
                code = {200: "OK", 429: "RESOURCE_EXHAUSTED"}[response.status_code]
            else:
                try:
                    stub.Predict(busy_request(500), timeout=60)
                    code = "OK"
                except grpc.RpcError as error:
                    code = error.code().name
            return code, time.monotonic() - start

        with ThreadPoolExecutor(24) as pool:
            found = list(pool.map(ask, range(24)))

        codes = [code for code, _ in found]
        assert set(codes) == {"OK", "RESOURCE_EXHAUSTED"}
        assert codes.count("OK") >= 3
        assert codes.count("RESOURCE_EXHAUSTED") >= 12
        until(lambda: busy.pending == 0)
        assert stub.Predict(busy_request(1), timeout=10)
        url = f"http://127.0.0.1:{busy.rest_port}/monitoring/prometheus/metrics"
        metrics = requests.get(url, timeout=10).text
        assert f":cxr:serving:refused_count {codes.count('RESOURCE_EXHAUSTED')}" in metrics
        assert ":cxr:serving:running_requests 0" in metrics

    def test_status_is_told_under_load(self, busy: EmbeddedServer) -> None:
        running = [stub_of(busy).Predict.future(busy_request(1000)) for _ in range(3)]
        until(lambda: busy.pending == 3)
        assert rest(busy).status_code == 200
        assert requests.get(f"http://127.0.0.1:{busy.rest_port}/healthz", timeout=5).ok
        for call in running:
            call.result(60)

    def test_what_is_too_late_ends_and_frees_its_thread(self, busy: EmbeddedServer) -> None:
        endless = busy_request(2_000_000)
        start = time.monotonic()
        with pytest.raises(grpc.RpcError) as e:
            stub_of(busy).Predict(endless, timeout=0.4)
        assert e.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        until(lambda: busy.pending == 0, 10)
        assert time.monotonic() - start < 10

    def test_rest_has_a_deadline_of_its_own(
        self, serve: Serve, exported: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "models").mkdir()
        (tmp_path / "models" / "1").symlink_to(exported / "busy")
        server = serve(rest_api_timeout_in_ms=300)
        response = rest(server, ":predict", {"instances": [2_000_000]})
        assert response.status_code == 504
        until(lambda: server.pending == 0)


def test_messages_of_another_kind_are_refused(toy: EmbeddedServer) -> None:
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "m"
    request.inputs["image_bytes"].dtype = 9999
    with pytest.raises(grpc.RpcError) as e:
        stub_of(toy).Predict(request, timeout=5)
    assert e.value.code() == grpc.StatusCode.INVALID_ARGUMENT
