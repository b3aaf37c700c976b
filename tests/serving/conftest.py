"""The servers that the tests of the clients share."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving.tiny_model import export_tiny_model


@pytest.fixture(scope="session")
def two_versions_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Versions 7 and 12 of the model."""
    base = tmp_path_factory.mktemp("versions") / "cxr"
    for version in ("7", "12"):
        export_tiny_model(base / version)
    return base


@pytest.fixture
def free_port() -> int:
    """A loopback port on which nothing listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.fixture(scope="session")
def embedded(
    two_versions_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator["EmbeddedServer"]:  # noqa: F821
    """The embedded server, with 7 as stable and 12 as canary."""
    from serving import model_config
    from serving.server.config import ServerConfig
    from serving.server.embedded import EmbeddedServer

    labels = {model_config.STABLE: 7, model_config.CANARY: 12}
    text = model_config.with_labels(
        model_config.parse("", ""), "cxr", str(two_versions_dir), labels
    )
    file = tmp_path_factory.mktemp("embedded") / model_config.FILE_NAME
    file.write_text(text)
    config = ServerConfig(model_config_file=file, port=0, rest_api_port=0)
    with EmbeddedServer(config) as server:
        yield server


@pytest.fixture
def server(two_versions_dir: Path) -> Iterator["TFServingStub"]:  # noqa: F821
    """A server of both versions, of which 7 is labelled stable."""
    from tests.serving.tf_serving_stub import TFServingStub

    with TFServingStub(two_versions_dir, labels={"stable": 7}) as stub:
        yield stub
