"""Which server a model is tried on."""

from pathlib import Path
from typing import Any

import pytest
from tfx.components.infra_validator import error_types, serving_bins
from tfx.proto import infra_validator_pb2

from components.infra_canary import runner
from components.infra_canary.settings import InfraCanarySettings


def create(**settings: Any) -> Any:
    return runner.create_runner(
        InfraCanarySettings(**settings),
        "/models/cxr/1",
        "cxr",
        serving_bins.TensorFlowServing("cxr", tag="2.21.0"),
        infra_validator_pb2.ServingSpec(local_docker=infra_validator_pb2.LocalDockerConfig()),
    )


@pytest.fixture
def no_docker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")


@pytest.mark.usefixtures("no_docker")
def test_without_an_engine_it_is_the_embedded_server() -> None:
    assert isinstance(create(server="auto"), runner.EmbeddedRunner)


def test_with_the_image_it_is_tensorflow_serving(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(runner, "has_image", lambda image: bool(asked.append(image)) or True)
    # TFX's, which would connect at once.
    monkeypatch.setattr(runner, "LocalDockerRunner", lambda *_: "docker")
    assert create(server="auto", image_tag="2.21.0") == "docker"
    assert asked == ["tensorflow/serving:2.21.0"]
    assert isinstance(create(server="embedded"), runner.EmbeddedRunner)
    assert create(server="docker") == "docker"
    assert len(asked) == 1


def test_a_server_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    (tmp_path / "cxr/1").mkdir(parents=True)
    server = runner.EmbeddedRunner(str(tmp_path / "cxr/1"), "cxr")
    server.Start()
    try:
        with pytest.raises(error_types.DeadlineExceeded, match="in time"):
            server.WaitUntilRunning(deadline=0)
    finally:
        server.Stop()
    assert server.ending() == "signal 9"
