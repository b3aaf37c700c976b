import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

import serving
from serving.client import DEFAULT_MODEL_NAME
from tests.serving.tf_serving_stub import TFServingStub

COMPOSE_FILE = Path(serving.__file__).parent / "compose.yaml"


@pytest.fixture(scope="module")
def service() -> dict[str, Any]:
    (only,) = yaml.safe_load(COMPOSE_FILE.read_text())["services"].values()
    return only


def test_the_image_is_pinned_to_a_release(service: dict[str, Any]) -> None:
    assert re.fullmatch(r"tensorflow/serving:\d+\.\d+\.\d+", service["image"])


def test_the_ports_are_bound_to_loopback_alone(service: dict[str, Any]) -> None:
    assert service["ports"] == ["127.0.0.1:8500:8500", "127.0.0.1:8501:8501"]


def test_the_model_is_mounted_read_only_where_the_server_looks(service: dict[str, Any]) -> None:
    (mount,) = service["volumes"]
    assert mount["read_only"] is True
    assert mount["target"] == f"/models/{service['environment']['MODEL_NAME']}"
    assert mount["source"] == "${CXR_SERVING_DIR:-../runs/demo/serving}/cxr"


def test_the_name_is_the_one_that_the_clients_ask_for(service: dict[str, Any]) -> None:
    assert service["environment"]["MODEL_NAME"] == DEFAULT_MODEL_NAME


def test_the_container_cannot_change_itself(service: dict[str, Any]) -> None:
    assert service["read_only"] is True
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    assert "network_mode" not in service


def test_it_restarts_unless_stopped(service: dict[str, Any]) -> None:
    assert service["restart"] == "unless-stopped"


class TestHealthcheck:
    """Runs the very command of the file, against the stub's port."""

    @pytest.fixture(autouse=True)
    def needs_bash(self) -> None:
        if shutil.which("bash") is None:
            pytest.skip("the container's shell, bash, is not on this machine")

    def healthy(self, service: dict[str, Any], address: str) -> bool:
        kind, *command = service["healthcheck"]["test"]
        assert kind == "CMD"
        port = address.rpartition(":")[2]
        command = [part.replace("/127.0.0.1/8501", f"/127.0.0.1/{port}") for part in command]
        return subprocess.run(command, capture_output=True, timeout=10, check=False).returncode == 0

    def test_a_server_with_the_model_is_healthy(
        self, service: dict[str, Any], server: TFServingStub
    ) -> None:
        assert self.healthy(service, server.rest_address)

    def test_a_server_without_the_model_is_not(
        self, service: dict[str, Any], two_versions_dir: Path
    ) -> None:
        with TFServingStub(two_versions_dir, name="other") as stub:
            assert not self.healthy(service, stub.rest_address)

    def test_a_server_that_has_not_opened_its_port_is_not(
        self, service: dict[str, Any], free_port: int
    ) -> None:
        assert not self.healthy(service, f"127.0.0.1:{free_port}")
