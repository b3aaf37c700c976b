import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import serving
from serving.model_config import FILE_NAME
from tests.serving.tf_serving_stub import TFServingStub

DEPLOY = Path(serving.__file__).parent / "deploy"
COMPOSE_FILE = DEPLOY / "compose.yaml"
SERVING_DIR = "${CXR_SERVING_DIR}"


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    return yaml.safe_load(COMPOSE_FILE.read_text())["services"]


@pytest.fixture(scope="module")
def service(services: dict[str, Any]) -> dict[str, Any]:
    return services["tensorflow-serving"]


@pytest.mark.parametrize("file", ["compose.yaml", "compose.batching.yaml"])
def test_it_is_what_the_compose_specification_allows(file: str) -> None:
    command = [
        *(sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"),
        str(DEPLOY / file),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_images_are_pinned_to_a_release(services: dict[str, Any]) -> None:
    for one in services.values():
        assert re.fullmatch(r"[a-z]+/[a-z]+:v?\d+\.\d+\.\d+", one["image"])


def test_the_ports_are_bound_to_loopback_alone(services: dict[str, Any]) -> None:
    ports = [port for one in services.values() for port in one["ports"]]
    assert ports == [f"127.0.0.1:{port}:{port}" for port in (8500, 8501, 9090, 3000)]


def test_the_models_are_mounted_read_only_where_their_config_says(service: dict[str, Any]) -> None:
    models = service["volumes"][0]
    assert models["read_only"] is True
    assert models["source"] == models["target"] == SERVING_DIR
    files = [one for one in service["command"] if one.startswith("--model_config_file=")]
    assert files == [
        f"--model_config_file={SERVING_DIR[:-1]}:?is not set; give the absolute path "
        f"of runs/NAME/serving}}/{FILE_NAME}"
    ]


def test_batching_changes_nothing_else(service: dict[str, Any]) -> None:
    other = yaml.safe_load((DEPLOY / "compose.batching.yaml").read_text())["services"]
    assert other["tensorflow-serving"] == {
        "command": [
            *service["command"],
            "--enable_batching=true",
            "--batching_parameters_file=/etc/cxr/batching.config",
        ]
    }


def test_what_is_mounted_exists(services: dict[str, Any]) -> None:
    mounts = [mount for one in services.values() for mount in one["volumes"]]
    sources = [one["source"] for one in mounts if isinstance(one, dict)]
    assert all((DEPLOY / one).exists() for one in sources if one.startswith("./"))
    assert len(sources) == 5


def test_the_containers_cannot_change_themselves(services: dict[str, Any]) -> None:
    for one in services.values():
        assert one["security_opt"] == ["no-new-privileges:true"]
        assert one["cap_drop"] == ["ALL"]
        assert "privileged" not in one
        assert "network_mode" not in one
        assert one["restart"] == "unless-stopped"
    assert services["tensorflow-serving"]["read_only"] is True
    assert services["tensorflow-serving"]["user"].endswith("1000:1000}")


def test_nobody_can_log_in_to_grafana(services: dict[str, Any]) -> None:
    environment = services["grafana"]["environment"]
    assert environment["GF_AUTH_ANONYMOUS_ORG_ROLE"] == "Viewer"
    assert environment["GF_AUTH_DISABLE_LOGIN_FORM"] == "true"
    assert environment["GF_AUTH_BASIC_ENABLED"] == "false"
    assert environment["GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION"] == "true"


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
