from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

from serving.client import (
    DeadlineExceededError,
    GrpcClient,
    RestClient,
    ServerError,
    ServerUnreachableError,
    ServingClient,
)
from serving.prediction import BadImageError, ModelContractError, ModelNotFoundError
from serving.saved_model import SavedModelPredictor
from tests.serving.tf_serving_stub import RestHandler, StatusError, TFServingStub
from tests.serving.tiny_model import UNDECODABLE_PNG, encoded_image, export_tiny_model

Connect = Callable[..., ServingClient]


@pytest.fixture(params=["gRPC", "REST"])
def protocol(request: pytest.FixtureRequest) -> str:
    return request.param


def client_of(stub: TFServingStub, protocol: str, **options: object) -> ServingClient:
    if protocol == "gRPC":
        return GrpcClient(stub.grpc_address, **options)
    return RestClient(stub.rest_address, **options)


@pytest.fixture
def connect(server: TFServingStub, protocol: str) -> Iterator[Connect]:
    """Makes clients of the server over either protocol; closes them in the end."""
    clients: list[ServingClient] = []

    def make(**options: object) -> ServingClient:
        clients.append(client_of(server, protocol, **options))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


class TestPredicting:
    def test_equals_the_model_in_this_process(
        self, connect: Connect, two_versions_dir: Path
    ) -> None:
        images = [
            encoded_image(level, suffix) for level in (0, 77, 255) for suffix in (".png", ".jpeg")
        ]
        sources = [f"{n}.png" for n in range(6)]

        over_the_network = connect().predict(images, sources)

        assert over_the_network == SavedModelPredictor(two_versions_dir).predict(images, sources)

    def test_asks_for_the_latest_version_by_default(
        self, connect: Connect, server: TFServingStub
    ) -> None:
        connect().predict([encoded_image(0)])
        assert server.served_versions == [12]

    @pytest.mark.parametrize("choice", [{"version": 7}, {"version_label": "stable"}], ids=str)
    def test_asks_for_a_version_or_a_label(
        self, connect: Connect, server: TFServingStub, choice: dict[str, object]
    ) -> None:
        connect(**choice).predict([encoded_image(0)])
        assert server.served_versions == [7]

    def test_bounds_its_batches(self, connect: Connect, server: TFServingStub) -> None:
        connect(batch_size=4).predict([encoded_image(0)] * 10)
        assert server.batch_sizes == [4, 4, 2]

    def test_sends_more_than_the_default_limit_of_grpc(self, connect: Connect) -> None:
        # A decoder stops at the end of its image; what follows is weight alone.
        heavy = encoded_image(255, ".jpeg") + b"\0" * 5_000_000
        assert connect().predict([heavy])[0].label == "PNEUMONIA"

    def test_rest_keeps_its_connection(self, server: TFServingStub) -> None:
        with RestClient(server.rest_address, batch_size=1) as client:
            client.predict([encoded_image(0)] * 3)
        assert server.rest_connections == 1


class TestErrors:
    def test_bad_image_is_named_with_the_servers_words(self, connect: Connect) -> None:
        with pytest.raises(BadImageError) as e:
            connect().predict([encoded_image(0), UNDECODABLE_PNG], ["a.png", "b.png"])

        (failure,) = e.value.failures
        assert failure.source == "b.png"
        assert failure.reason == (
            "the model cannot use this image: Invalid PNG. Failed to initialize decoder."
        )

    def test_unknown_model(self, connect: Connect) -> None:
        with pytest.raises(ModelNotFoundError, match=r"request: Latest\(other\)"):
            connect(model_name="other").predict([encoded_image(0)])

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

    def test_rest_server_with_a_time_limit_of_its_own(self, server: TFServingStub) -> None:
        server.delay, server.rest_timeout = 30, 0.1
        with (
            RestClient(server.rest_address) as client,
            pytest.raises(DeadlineExceededError, match="Timed out in the session"),
        ):
            client.predict([encoded_image(0)])

    def test_nothing_listens(self, free_port: int, protocol: str) -> None:
        kind = GrpcClient if protocol == "gRPC" else RestClient
        with (
            kind(f"127.0.0.1:{free_port}", timeout=5) as client,
            pytest.raises(
                ServerUnreachableError,
                match=f"no answer from 127.0.0.1:{free_port} over {protocol}: .*refused",
            ),
        ):
            client.predict([encoded_image(0)])

    def test_an_overloaded_server_is_not_called_unreachable(
        self, connect: Connect, server: TFServingStub
    ) -> None:
        server.failure = StatusError(
            grpc.StatusCode.UNAVAILABLE,
            "The batch scheduling queue to which this task was submitted is full",
        )
        with pytest.raises(ServerError, match="task was submitted is full"):
            connect().predict([encoded_image(0)])

    def test_server_that_fails(self, connect: Connect, server: TFServingStub) -> None:
        server.failure = StatusError(grpc.StatusCode.INTERNAL, "out of luck")
        with pytest.raises(ServerError, match="out of luck"):
            connect().predict([encoded_image(0)])
        assert server.batch_sizes == [1]

    def test_the_rest_port_is_asked_over_grpc(self, server: TFServingStub) -> None:
        with (
            GrpcClient(server.rest_address, timeout=5) as client,
            pytest.raises(ServerUnreachableError, match="its port for this protocol"),
        ):
            client.predict([encoded_image(0)])

    def test_the_grpc_port_is_asked_over_rest(self, server: TFServingStub) -> None:
        with (
            RestClient(server.grpc_address, timeout=5) as client,
            pytest.raises(ServerUnreachableError, match="its port for this protocol"),
        ):
            client.predict([encoded_image(0)])


class TestModelsOfAnotherContract:
    def predict(self, folder: Path, protocol: str, **model: object) -> None:
        export_tiny_model(folder / "1", **model)
        with TFServingStub(folder) as stub, client_of(stub, protocol) as client:
            client.predict([encoded_image(0), encoded_image(255)])

    def test_a_missing_output(self, tmp_path: Path, protocol: str) -> None:
        with pytest.raises(KeyError, match="lacks decision; it has label, probability"):
            self.predict(tmp_path, protocol, outputs=("probability", "label"))

    def test_a_single_output(self, tmp_path: Path, protocol: str) -> None:
        fault = "lacks decision, label" if protocol == "gRPC" else "single output"
        with pytest.raises(ModelContractError, match=fault):
            self.predict(tmp_path, protocol, outputs=("probability",))

    def test_no_such_signature(self, tmp_path: Path, protocol: str) -> None:
        with pytest.raises(ServerError, match=r'"serving_default".* not found'):
            self.predict(tmp_path, protocol, signature="classify")

    def test_another_input_is_the_requests_fault_not_the_images(self, tmp_path: Path) -> None:
        with pytest.raises(ServerError, match=r"Missing but required: \{examples\}"):
            self.predict(tmp_path, "gRPC", input_name="examples")


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
            assert client.address == address

    def test_refuses_both_a_version_and_a_label(self) -> None:
        with pytest.raises(ValueError, match="not for both"):
            RestClient("localhost:8501", version=1, version_label="stable")

    def test_describes_what_it_asks(self) -> None:
        with RestClient("localhost:8501", version=3) as client:
            assert client.model == "cxr version 3 at localhost:8501 (REST)"


def test_a_page_that_is_not_tf_serving(
    server: TFServingStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    def welcome(self: RestHandler) -> None:
        self.send_response(404)
        self.send_header("Content-Length", "7")
        self.end_headers()
        self.wfile.write(b"<html/>")

    monkeypatch.setattr(RestHandler, "do_POST", welcome)
    with (
        RestClient(server.rest_address) as client,
        pytest.raises(ServerError, match="HTTP 404 but not as TensorFlow Serving does"),
    ):
        client.predict([encoded_image(0)])
