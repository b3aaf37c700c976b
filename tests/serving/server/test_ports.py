"""What is around the answers: health, metrics, TLS, draining, ports and settings."""

import datetime
import json
import re
import socket
import ssl
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tensorflow_serving.apis import prediction_service_pb2_grpc

from serving.server.config import ServerConfig
from serving.server.embedded import EmbeddedServer
from serving.server.errors import ServerConfigError
from serving.server.metrics import Metrics
from serving.server.request_log import RequestLogError
from tests.serving.server.conftest import Serve, busy_request, request_of, rest, stub_of, until

METRICS = "/monitoring/prometheus/metrics"


@pytest.fixture
def half(serve: Serve, exported: Path, tmp_path: Path) -> Serve:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "1").symlink_to(exported / "plus_1")
    return serve


def get(server: EmbeddedServer, path: str) -> requests.Response:
    return requests.get(f"http://127.0.0.1:{server.rest_port}{path}", timeout=10)


class TestHealthAndMetrics:
    def test_ready_only_with_a_version_of_each_model(self, serve: Serve, tmp_path: Path) -> None:
        (tmp_path / "models").mkdir()
        response = get(serve(), "/healthz")
        assert response.status_code == 503
        assert response.json() == {"ready": False, "models": {"m": []}}

    def test_ready(self, half: Serve) -> None:
        response = get(half(), "/healthz")
        assert response.status_code == 200
        assert response.json() == {"ready": True, "models": {"m": [1]}}

    def test_counted_by_model_status_and_protocol(self, half: Serve) -> None:
        server = half(enable_prometheus=True)
        for body in ({"instances": [1]}, {"instances": [1]}, {"instances": ["x"]}):
            rest(server, ":predict", body)
        stub_of(server).Predict(request_of(x=np.float32([1])))
        rest(server, "-no-such-model:predict", {"instances": [1]})

        text = get(server, METRICS).text
        samples = dict(line.rsplit(" ", 1) for line in text.splitlines() if line[0] != "#")
        count = ":tensorflow:serving:request_count"
        assert samples[f'{count}{{model_name="m",status="OK"}}'] == "3"
        assert samples[f'{count}{{model_name="m",status="INVALID_ARGUMENT"}}'] == "1"
        assert samples[f'{count}{{model_name="",status="NOT_FOUND"}}'] == "1"
        latency = ":tensorflow:serving:request_latency"
        for api, entrypoint, number in (("predict", "REST", "3"), ("Predict", "GRPC", "1")):
            labels = f'model_name="m",API="{api}",entrypoint="{entrypoint}"'
            assert samples[f"{latency}_count{{{labels}}}"] == number
            assert samples[f'{latency}_bucket{{{labels},le="+Inf"}}'] == number
        assert f"# TYPE {latency} histogram" in text

    def test_the_text_is_prometheus_format(self, half: Serve) -> None:
        server = half(enable_prometheus=True)
        rest(server, ":predict", {"instances": [1]})
        sample = re.compile(r'[a-zA-Z_:][\w:]*(\{(\w+="[^"]*",?)*\})? [\d.e+-]+')
        for line in get(server, METRICS).text.splitlines():
            assert line.startswith("# TYPE ") or sample.fullmatch(line), line

    def test_the_path_is_the_configurations(self, half: Serve, tmp_path: Path) -> None:
        path = tmp_path / "monitoring.config"
        path.write_text('prometheus_config { enable: true path: "/numbers" }')
        server = half(monitoring_config_file=path)
        assert get(server, "/numbers").status_code == 200
        assert get(server, METRICS).status_code == 404

    def test_off_by_default(self, half: Serve) -> None:
        assert get(half(), METRICS).status_code == 404

    def test_large_numbers_keep_their_digits(self) -> None:
        metrics = Metrics()
        metrics.count("requests", 1_234_567, model="m")
        for _ in range(3):
            metrics.observe("latency", 1_234_567)
        assert 'requests{model="m"} 1234567' in metrics.text().splitlines()
        assert "latency_sum 3703701" in metrics.text().splitlines()
        assert "latency_count 3" in metrics.text().splitlines()


class TestRestErrors:
    def test_versions_of_more_digits_than_python_converts(self, half: Serve) -> None:
        server = half()
        response = rest(server, f"/versions/{'9' * 5000}:predict", {"instances": [1]})
        assert response.status_code == 400
        assert response.json()["error"].startswith("Failed to convert version: 999")
        zeros = f"/versions/{'0' * 5000}1:predict"
        assert rest(server, zeros, {"instances": [0]}).json() == {"predictions": [1]}

    def test_a_bug_is_logged_and_told_without_what_was_sent(
        self, half: Serve, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        server = half()

        def fail(_: Any) -> None:
            raise KeyError("a name")

        monkeypatch.setattr(server.models, "status", fail)
        response = rest(server)
        assert response.status_code == 500
        assert response.json() == {"error": "KeyError in the server; see its log"}
        assert "Traceback" in caplog.text


class TestCors:
    def test_only_if_asked_for(self, half: Serve) -> None:
        for setting, allowed in ((True, "*"), (False, None)):
            server = half(rest_api_enable_cors_support=setting)
            url = f"http://127.0.0.1:{server.rest_port}/v1/models/m:predict"
            header = "Access-Control-Allow-Origin"
            assert requests.options(url, timeout=10).headers.get(header) == allowed
            assert requests.post(url, "{}", timeout=10).headers.get(header) == allowed


class TestDraining:
    @pytest.fixture
    def busy(self, serve: Serve, exported: Path, tmp_path: Path) -> EmbeddedServer:
        (tmp_path / "models").mkdir()
        (tmp_path / "models" / "1").symlink_to(exported / "busy")
        return serve()

    def test_what_runs_is_answered_and_nobody_else(self, busy: EmbeddedServer) -> None:
        over_grpc = stub_of(busy).Predict.future(busy_request(1500), timeout=30)
        found: list[Any] = []
        asking = threading.Thread(
            target=lambda: found.append(rest(busy, ":predict", {"instances": [1500]}).json())
        )
        asking.start()
        until(lambda: busy.pending == 2)
        health = health_pb2_grpc.HealthStub(grpc.insecure_channel(f"127.0.0.1:{busy.grpc_port}"))
        statuses = health.Watch(health_pb2.HealthCheckRequest())
        assert next(statuses).status == health_pb2.HealthCheckResponse.SERVING

        stopping = threading.Thread(target=busy.stop, args=(20,))
        stopping.start()
        assert next(statuses).status == health_pb2.HealthCheckResponse.NOT_SERVING
        statuses.cancel()
        until(lambda: refuses(busy.rest_port))

        assert over_grpc.result(30).outputs["rounds"].int_val[0] == 1500
        asking.join()
        assert found == [{"predictions": [1500]}]
        stopping.join()
        assert refuses(busy.grpc_port)

    def test_grace_has_an_end(self, busy: EmbeddedServer) -> None:
        call = stub_of(busy).Predict.future(busy_request(5_000_000), timeout=60)
        until(lambda: busy.pending == 1)
        start = time.monotonic()
        busy.stop(0.3)
        assert time.monotonic() - start < 10
        assert call.exception(10) is not None


def refuses(port: int | None) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port or 0), 1).close()
    except OSError:
        return True
    return False


def certificate() -> tuple[str, str]:
    """A key and its certificate for localhost, in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return private.decode(), made.public_bytes(serialization.Encoding.PEM).decode()


class TestTls:
    @pytest.mark.parametrize("client_verify", [False, True])
    def test_both_ports_are_encrypted(
        self, half: Serve, tmp_path: Path, client_verify: bool
    ) -> None:
        key, cert = certificate()
        path = tmp_path / "ssl.config"
        path.write_text(
            f"server_key: {json.dumps(key)} server_cert: {json.dumps(cert)} "
            + (f"custom_ca: {json.dumps(cert)} client_verify: true" if client_verify else "")
        )
        server = half(ssl_config_file=path)
        pair = (key.encode(), cert.encode()) if client_verify else (None, None)

        credentials = grpc.ssl_channel_credentials(cert.encode(), *pair)
        with grpc.secure_channel(f"localhost:{server.grpc_port}", credentials) as channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            assert stub.Predict(request_of(x=np.float32([0])), timeout=10).outputs
        context = ssl.create_default_context(cadata=cert)
        if client_verify:
            (tmp_path / "client.pem").write_text(key + cert)
            context.load_cert_chain(tmp_path / "client.pem")
        url = f"https://localhost:{server.rest_port}/healthz"
        assert urllib.request.urlopen(url, context=context, timeout=10).status == 200

        with pytest.raises(grpc.RpcError):
            stub_of(server).Predict(request_of(x=np.float32([0])), timeout=5)
        if client_verify:
            stranger = ssl.create_default_context(cadata=cert)
            with pytest.raises(OSError):
                urllib.request.urlopen(url, context=stranger, timeout=10)

    def test_paths_instead_of_keys_are_explained(self, half: Serve, tmp_path: Path) -> None:
        path = tmp_path / "ssl.config"
        path.write_text('server_key: "/etc/key.pem" server_cert: "/etc/cert.pem"')
        with pytest.raises(ServerConfigError, match="themselves and not as paths"):
            half(ssl_config_file=path)

    def test_clients_are_not_verified_by_nobody(self, half: Serve, tmp_path: Path) -> None:
        key, cert = certificate()
        path = tmp_path / "ssl.config"
        path.write_text(
            f"server_key: {json.dumps(key)} server_cert: {json.dumps(cert)} client_verify: true"
        )
        with pytest.raises(ServerConfigError, match="client_verify needs custom_ca"):
            half(ssl_config_file=path)


class TestSettings:
    @pytest.mark.parametrize("which", ["port", "rest_api_port"])
    def test_a_port_in_use_is_named(self, half: Serve, which: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            with pytest.raises(ServerConfigError, match=str(port)):
                half(**{which: port})

    def test_rest_can_be_left_out(self, half: Serve) -> None:
        server = half(rest_api_port=None)
        assert server.rest_port is None
        assert stub_of(server).Predict(request_of(x=np.float32([0])), timeout=10).outputs

    @pytest.mark.parametrize(
        ("settings", "words"),
        [
            ({}, "model_base_path or model_config_file"),
            ({"model_base_path": "/m", "batching_parameters_file": Path("b")}, "enable_batching"),
            ({"model_base_path": "/m", "max_running_requests": 0}, "max_running_requests"),
            ({"model_base_path": "/m", "max_queued_requests": -1}, "max_queued_requests"),
        ],
        ids=str,
    )
    def test_what_cannot_be_meant(self, settings: dict[str, Any], words: str) -> None:
        with pytest.raises(ServerConfigError, match=words):
            ServerConfig(**settings)

    def test_a_log_that_cannot_be_leaves_no_threads(self, half: Serve, tmp_path: Path) -> None:
        before = set(threading.enumerate())
        (tmp_path / "file").touch()
        with pytest.raises(RequestLogError):
            half(enable_batching=True, request_log_dir=tmp_path / "file")
        assert set(threading.enumerate()) <= before

    @pytest.mark.parametrize("text", [None, "nonsense: 1", "model_config_list { config { name: 5"])
    def test_configuration_files_that_cannot_be_read(
        self, half: Serve, tmp_path: Path, text: str | None
    ) -> None:
        path = tmp_path / "faulty.config"
        if text is not None:
            path.write_text(text)
        for setting in ("model_config_file", "monitoring_config_file", "ssl_config_file"):
            with pytest.raises(ServerConfigError, match=r"faulty\.config"):
                half(**{setting: path})


def test_the_page_is_at_the_root(half: Serve) -> None:
    server = half()
    response = get(server, "/")
    assert response.headers["Content-Type"].startswith("text/html")
    assert get(server, "/page/model?name=m").json()["version"] == "1"
