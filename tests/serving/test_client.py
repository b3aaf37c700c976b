import asyncio
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import grpc
import numpy as np
import pytest

from serving.client import (
    DeadlineExceededError,
    GrpcClient,
    RestClient,
    ServerBusyError,
    ServerError,
    ServerUnreachableError,
    ServingClient,
    grpc_protocol,
    rest_protocol,
)
from serving.client.aio import AsyncGrpcClient, AsyncRestClient
from serving.prediction import (
    BadImageError,
    Failure,
    MissingSignatureError,
    ModelContractError,
    ModelNotFoundError,
    PredictionError,
)
from serving.saved_model import SavedModelPredictor
from tests.components.example_gen.dicom_samples import dicom, film
from tests.serving.tf_serving_stub import RestHandler, StatusError, TFServingStub
from tests.serving.tiny_model import (
    GRID,
    STEEPNESS,
    UNDECODABLE_PNG,
    encoded_image,
    export_tiny_model,
)

KINDS = {
    "gRPC": GrpcClient,
    "REST": RestClient,
    "async gRPC": AsyncGrpcClient,
    "async REST": AsyncRestClient,
}


class Awaited:
    """A client that is awaited, called as the others are."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._loop = asyncio.Runner()

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._client, name)
        if not asyncio.iscoroutinefunction(attribute):
            return attribute
        return lambda *args, **options: self._loop.run(attribute(*args, **options))

    def __enter__(self) -> "Awaited":
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.run(self._client.close())
        self._loop.close()


Client = ServingClient | Awaited
Connect = Callable[..., Client]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for protocol in (grpc_protocol, rest_protocol):
        monkeypatch.setattr(protocol, "FIRST_WAIT_SECONDS", 0.01)


def make(kind: str, address: str, **options: object) -> Client:
    client = KINDS[kind](address, **options)
    return Awaited(client) if kind.startswith("async") else client


def client_of(stub: TFServingStub, kind: str, **options: object) -> Client:
    address = stub.grpc_address if kind.endswith("gRPC") else stub.rest_address
    return make(kind, address, **options)


@pytest.fixture
def connect(server: TFServingStub, kind: str) -> Iterator[Connect]:
    """Makes clients of the server of each kind; closes them in the end."""
    clients: list[Client] = []

    def connected(**options: object) -> Client:
        clients.append(client_of(server, kind, **options))
        return clients[-1]

    yield connected
    for client in clients:
        client.__exit__(None, None, None)


@pytest.fixture(scope="module")
def in_process(two_versions_dir: Path) -> SavedModelPredictor:
    return SavedModelPredictor(two_versions_dir)


class TestPredicting:
    def test_equals_the_model_in_this_process(
        self, connect: Connect, in_process: SavedModelPredictor
    ) -> None:
        images = [
            encoded_image(level, suffix) for level in (0, 77, 255) for suffix in (".png", ".jpeg")
        ]
        sources = [f"{n}.png" for n in range(6)]

        over_the_network = connect().predict(images, sources)

        assert over_the_network == in_process.predict(images, sources)
        assert [p.quality for p in over_the_network[::2]] == [
            ("blank",),
            (),
            ("inverted", "unlike_training"),
        ]

    def test_takes_bytes_paths_arrays_and_dicom(self, connect: Connect, tmp_path: Path) -> None:
        grey = np.full((24, 32), 77, np.uint8)
        (tmp_path / "a.png").write_bytes(encoded_image(77))
        (tmp_path / "a.dcm").write_bytes(dicom(grey))
        colour = np.zeros((24, 32, 3), np.uint8)
        images = [
            encoded_image(77),
            tmp_path / "a.png",
            str(tmp_path / "a.png"),
            grey,
            grey[..., np.newaxis],
            colour + np.uint8(77),
            dicom(grey),
            tmp_path / "a.dcm",
        ]
        predictions = connect().predict(images)
        assert {p.probability for p in predictions} == {predictions[0].probability}

    def test_a_colour_array_is_rgb(self, connect: Connect) -> None:
        red = np.zeros((24, 32, 3), np.uint8)
        red[..., 0] = 255
        file = cv2.imencode(".png", red[..., ::-1])[1].tobytes()
        of_array, of_file = connect().predict([red, file])
        assert of_array.probability == of_file.probability

    def test_explains_as_the_model_in_this_process(
        self, connect: Connect, in_process: SavedModelPredictor
    ) -> None:
        images = [encoded_image(0), encoded_image(255, ".jpeg")]
        over_the_network = connect().explain(images, ["a", "b"])

        for there, here in zip(
            over_the_network, in_process.explain(images, ["a", "b"]), strict=True
        ):
            assert there.answer == here.answer
            np.testing.assert_array_equal(there.heatmap, here.heatmap)
            assert there.overlay_png == here.overlay_png
            assert there.explained == ""
        bright = over_the_network[1]
        assert bright.source == "b"
        np.testing.assert_allclose(bright.heatmap, np.full(GRID, STEEPNESS), rtol=1e-5)
        assert bright.heatmap.dtype == np.float32
        overlay = cv2.imdecode(np.frombuffer(bright.overlay_png, np.uint8), cv2.IMREAD_COLOR)
        assert overlay.shape == (24, 32, 3)

    def test_asks_for_the_latest_version_by_default(
        self, connect: Connect, server: TFServingStub
    ) -> None:
        client = connect()
        client.predict([encoded_image(0)])
        assert server.served_versions == [12]
        assert client.served_version() == 12

    @pytest.mark.parametrize("choice", [{"version": 7}, {"version_label": "stable"}], ids=str)
    def test_asks_for_a_version_or_a_label(
        self, connect: Connect, server: TFServingStub, choice: dict[str, object]
    ) -> None:
        client = connect(**choice)
        client.predict([encoded_image(0)])
        assert server.served_versions == [7]
        assert client.served_version() == 7

    def test_bounds_its_batches(self, connect: Connect, server: TFServingStub) -> None:
        connect(batch_size=4).predict([encoded_image(0)] * 10)
        assert sorted(server.batch_sizes) == [2, 4, 4]

    def test_bounds_its_concurrency_and_keeps_the_order(
        self, connect: Connect, server: TFServingStub
    ) -> None:
        server.delay = 0.05
        client = connect(batch_size=1, concurrency=3)
        predictions = client.predict([encoded_image(level) for level in range(0, 250, 25)])
        probabilities = [p.probability for p in predictions]
        assert probabilities == sorted(probabilities)
        assert server.most_running == 3

    def test_sends_more_than_the_default_limit_of_grpc(self, connect: Connect) -> None:
        # A decoder stops at the end of its image; what follows is weight alone.
        heavy = encoded_image(255, ".jpeg") + b"\0" * 5_000_000
        assert connect().predict([heavy])[0].label == "PNEUMONIA"

    @pytest.mark.parametrize("kind", ["REST", "async REST"])
    def test_rest_keeps_its_connections(self, connect: Connect, server: TFServingStub) -> None:
        connect(batch_size=1, concurrency=1).predict([encoded_image(0)] * 3)
        assert server.rest_connections == 1

    def test_many_files_with_bad_ones_among_them(self, connect: Connect, tmp_path: Path) -> None:
        contents = {
            "a.png": encoded_image(0),
            "b.png": UNDECODABLE_PNG,
            "c.txt": b"notes",
            "d.dcm": dicom(film(bits=12), 12)[:-400],
            "e.jpeg": encoded_image(255, ".jpeg"),
        }
        for name, content in contents.items():
            (tmp_path / name).write_bytes(content)
        paths = [tmp_path / name for name in (*contents, "gone.png")]

        for ask in ("predict_files", "explain_files"):
            outcome = getattr(connect(batch_size=2), ask)(paths)
            assert [Path(p.source).name for p in outcome.predictions] == ["a.png", "e.jpeg"]
            assert {Path(f.source).name: f.reason.split(":")[0] for f in outcome.failures} == {
                "b.png": "the model cannot use this image",
                "c.txt": "not a PNG, JPEG or DICOM image but text; convert it to 8-bit PNG or "
                "JPEG, or leave it out",
                "d.dcm": "image data is damaged or cut short",
                "gone.png": "cannot be read",
            }


class TestRetries:
    @pytest.mark.parametrize(
        ("code", "message"),
        [
            (grpc.StatusCode.UNAVAILABLE, "The batch scheduling queue ... is full"),
            (grpc.StatusCode.UNAVAILABLE, "shutting down"),
            (grpc.StatusCode.RESOURCE_EXHAUSTED, "The server is busy: 9 requests run or wait."),
        ],
        ids=str,
    )
    def test_a_server_that_recovers_is_asked_again(
        self, connect: Connect, server: TFServingStub, code: grpc.StatusCode, message: str
    ) -> None:
        server.failure, server.failures = StatusError(code, message), 3
        # More than gRPC keeps for another attempt unless it is told to.
        heavy = encoded_image(255, ".jpeg") + b"\0" * 1_000_000
        assert connect().predict([heavy])[0].label == "PNEUMONIA"
        assert server.batch_sizes == [1] * 4

    @pytest.mark.parametrize(
        ("code", "error"),
        [
            (grpc.StatusCode.INVALID_ARGUMENT, BadImageError),
            (grpc.StatusCode.INTERNAL, ServerError),
            (grpc.StatusCode.NOT_FOUND, ModelNotFoundError),
        ],
    )
    def test_what_would_fail_again_is_not(
        self,
        connect: Connect,
        server: TFServingStub,
        code: grpc.StatusCode,
        error: type[PredictionError],
    ) -> None:
        server.failure = StatusError(code, "out of luck")
        with pytest.raises(error, match="out of luck"):
            connect().predict([encoded_image(0)])
        assert server.batch_sizes == [1]

    @pytest.mark.parametrize("attempts", [1, 3])
    def test_a_busy_server_is_not_called_unreachable(
        self, connect: Connect, server: TFServingStub, attempts: int
    ) -> None:
        server.failure = StatusError(
            grpc.StatusCode.UNAVAILABLE,
            "The batch scheduling queue to which this task was submitted is full",
        )
        with pytest.raises(ServerBusyError, match="task was submitted is full"):
            connect(attempts=attempts).predict([encoded_image(0)])
        assert server.batch_sizes == [1] * attempts

    def test_the_deadline_is_for_all_attempts(
        self, connect: Connect, server: TFServingStub, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for protocol in (grpc_protocol, rest_protocol):
            monkeypatch.setattr(protocol, "FIRST_WAIT_SECONDS", 0.4)
        server.failure = StatusError(grpc.StatusCode.RESOURCE_EXHAUSTED, "busy")
        client = connect(timeout=1)
        start = time.monotonic()
        with pytest.raises((ServerBusyError, DeadlineExceededError)):
            client.predict([encoded_image(0)])
        assert time.monotonic() - start < 1.5
        assert 1 < len(server.batch_sizes) < 4

    def test_too_much_at_once_is_sent_in_parts(
        self, connect: Connect, server: TFServingStub, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        predict = server.predict

        def limited(version: int, signature: Any, inputs: dict[str, list[bytes]]) -> Any:
            if len(inputs["image_bytes"]) > 1 or len(inputs["image_bytes"][0]) > 1000:
                raise StatusError(
                    grpc.StatusCode.RESOURCE_EXHAUSTED, "Received message larger than max (9 vs. 8)"
                )
            return predict(version, signature, inputs)

        monkeypatch.setattr(server, "predict", limited)
        images = [encoded_image(0), encoded_image(255) + b"\0" * 1000, encoded_image(255)]
        with pytest.raises(BadImageError) as e:
            connect().predict(images, ["a", "b", "c"])
        assert [failure.source for failure in e.value.failures] == ["b"]
        assert "larger than max" in str(e.value)
        assert server.batch_sizes == [1, 1]


class TestEncryption:
    @pytest.fixture(scope="class")
    def certificate(self, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
        """A private key and its own certificate, for the loopback address."""
        if shutil.which("openssl") is None:
            pytest.skip("no openssl on this machine")
        folder = tmp_path_factory.mktemp("tls")
        key, certificate = folder / "key.pem", folder / "certificate.pem"
        command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext"
        names = ["subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out", certificate]
        subprocess.run([*command.split(), *names], check=True, capture_output=True)
        return key, certificate

    @pytest.fixture(scope="class")
    def encrypted(
        self, two_versions_dir: Path, certificate: tuple[Path, Path]
    ) -> Iterator[TFServingStub]:
        with TFServingStub(two_versions_dir, tls=certificate) as stub:
            yield stub

    def test_by_a_certificate_that_the_client_is_given(
        self, encrypted: TFServingStub, certificate: tuple[Path, Path], kind: str
    ) -> None:
        with client_of(encrypted, kind, tls=certificate[1]) as client:
            assert client.predict([encoded_image(255)])[0].label == "PNEUMONIA"

    @pytest.mark.parametrize("tls", [True, False])
    def test_not_without(self, encrypted: TFServingStub, kind: str, tls: bool) -> None:
        with (
            client_of(encrypted, kind, tls=tls, attempts=2, timeout=5) as client,
            pytest.raises(ServerUnreachableError),
        ):
            client.predict([encoded_image(255)])


class TestErrors:
    def test_bad_image_is_named_with_the_servers_words(self, connect: Connect) -> None:
        with pytest.raises(BadImageError) as e:
            connect().predict([encoded_image(0), UNDECODABLE_PNG], ["a.png", "b.png"])

        (failure,) = e.value.failures
        assert failure == Failure(
            "b.png", "the model cannot use this image: Invalid PNG. Failed to initialize decoder."
        )

    def test_unknown_model(self, connect: Connect) -> None:
        client = connect(model_name="other")
        with pytest.raises(ModelNotFoundError, match=r"request: Latest\(other\)"):
            client.predict([encoded_image(0)])
        with pytest.raises(ModelNotFoundError, match=r"request: Latest\(other\)"):
            client.served_version()

    # 0 is a version like any other, and must not be sent as "the latest".
    @pytest.mark.parametrize("version", [0, 8])
    def test_unknown_version(self, connect: Connect, version: int) -> None:
        with pytest.raises(ModelNotFoundError, match=rf"Specific\(cxr, {version}\)"):
            connect(version=version).predict([encoded_image(0)])

    def test_unknown_label(self, connect: Connect) -> None:
        with pytest.raises(ModelNotFoundError, match="version label: ca/nary"):
            connect(version_label="ca/nary").predict([encoded_image(0)])

    def test_slow_server(self, connect: Connect, server: TFServingStub) -> None:
        server.delay = 30
        with pytest.raises(DeadlineExceededError, match=r"did not answer within 0\.3 s"):
            connect(timeout=0.3).predict([encoded_image(0)])

    @pytest.mark.parametrize("kind", ["REST", "async REST"])
    def test_rest_server_with_a_time_limit_of_its_own(
        self, connect: Connect, server: TFServingStub
    ) -> None:
        server.delay, server.rest_timeout = 30, 0.1
        with pytest.raises(DeadlineExceededError, match="Timed out in the session"):
            connect().predict([encoded_image(0)])

    def test_nothing_listens(self, free_port: int, kind: str) -> None:
        with (
            make(kind, f"127.0.0.1:{free_port}", timeout=5) as client,
            pytest.raises(
                ServerUnreachableError,
                match=rf"no answer from 127.0.0.1:{free_port} over .*: .*(refused|connect)",
            ),
        ):
            client.predict([encoded_image(0)])

    def test_the_rest_port_is_asked_over_grpc(self, server: TFServingStub) -> None:
        with (
            GrpcClient(server.rest_address, timeout=5) as client,
            pytest.raises(ServerUnreachableError, match="its port for this protocol"),
        ):
            client.predict([encoded_image(0)])

    @pytest.mark.parametrize("kind", ["REST", "async REST"])
    def test_the_grpc_port_is_asked_over_rest(self, server: TFServingStub, kind: str) -> None:
        with (
            make(kind, server.grpc_address, timeout=5) as client,
            pytest.raises(ServerUnreachableError, match="its port for this protocol"),
        ):
            client.predict([encoded_image(0)])

    @pytest.mark.parametrize("kind", ["REST", "async REST"])
    @pytest.mark.parametrize(
        ("status", "error", "message"),
        [
            (404, ServerError, "HTTP 404 but not as TensorFlow Serving does"),
            (200, ServerError, "HTTP 200 but not as TensorFlow Serving does"),
            (503, ServerBusyError, "the server is busy: HTTP 503"),
        ],
    )
    def test_a_page_that_is_not_tf_serving(
        self,
        connect: Connect,
        monkeypatch: pytest.MonkeyPatch,
        status: int,
        error: type[ServerError],
        message: str,
    ) -> None:
        def welcome(self: RestHandler) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.send_header("Content-Length", "7")
            self.end_headers()
            self.wfile.write(b"<html/>")

        monkeypatch.setattr(RestHandler, "do_POST", welcome)
        with pytest.raises(error, match=message):
            connect().predict([encoded_image(0)])


class TestModelsOfAnotherContract:
    @pytest.fixture(params=["gRPC", "REST"])
    def kind(self, request: pytest.FixtureRequest) -> str:
        return request.param

    def ask(self, folder: Path, kind: str, what: str = "predict", **model: object) -> None:
        export_tiny_model(folder / "1", **model)
        with TFServingStub(folder) as stub, client_of(stub, kind) as client:
            getattr(client, what)([encoded_image(0), encoded_image(255)])

    def test_a_missing_output(self, tmp_path: Path, kind: str) -> None:
        with pytest.raises(KeyError, match="lacks decision; it has label, probability"):
            self.ask(tmp_path, kind, outputs=("probability", "label"))

    def test_a_single_output(self, tmp_path: Path, kind: str) -> None:
        fault = "lacks decision, label" if kind == "gRPC" else "single output"
        with pytest.raises(ModelContractError, match=fault):
            self.ask(tmp_path, kind, outputs=("probability",))

    def test_no_such_signature(self, tmp_path: Path, kind: str) -> None:
        with pytest.raises(MissingSignatureError, match=r'"serving_default".* not found'):
            self.ask(tmp_path, kind, signature="classify")

    def test_no_explanations(self, tmp_path: Path, kind: str) -> None:
        with pytest.raises(MissingSignatureError, match=r'"explain".* not found.*export the model'):
            self.ask(tmp_path, kind, "explain", explains=False)

    def test_another_input_is_the_requests_fault_not_the_images(self, tmp_path: Path) -> None:
        with pytest.raises(ServerError, match=r"Missing but required: \{examples\}"):
            self.ask(tmp_path, "gRPC", input_name="examples")


class TestAddressAndOptions:
    @pytest.mark.parametrize(
        "address",
        ["localhost", "http://localhost:8501", "localhost:", ":8500", "a b:1", "h:8501/v1"],
    )
    def test_refuses_what_is_not_host_and_port(self, address: str) -> None:
        with pytest.raises(ValueError, match="must be HOST:PORT"):
            RestClient(address)

    @pytest.mark.parametrize("address", ["localhost:8501", "[::1]:8501", "10.0.0.1:80"])
    def test_takes_names_and_numbers(self, address: str) -> None:
        with RestClient(address) as client:
            assert client.target.address == address

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"version": 1, "version_label": "stable"}, "not for both"),
            ({"attempts": 6}, "attempts must be 1 to 5"),
            ({"tls": Path("gone.pem")}, r"no file of root certificates: gone\.pem"),
            ({"batch_size": 0}, "batch_size must be at least 1"),
            ({"concurrency": 0}, "concurrency must be at least 1"),
        ],
    )
    def test_refuses_options_that_cannot_be(
        self, kind: str, options: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(ValueError, match=message):
            KINDS[kind]("localhost:8501", **options)

    def test_describes_what_it_asks(self) -> None:
        with RestClient("localhost:8501", version=3) as client:
            assert client.model == "cxr version 3 at localhost:8501 (REST)"
