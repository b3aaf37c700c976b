"""`cxr serve`, as a user starts and stops it."""

import itertools
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from components.disclaimer import DISCLAIMER
from pipeline.commands import serve as command
from serving.client import GrpcClient, RestClient
from tests.serving.tiny_model import encoded_image

COMMAND = [sys.executable, "-c", "from pipeline.cli import main; main()", "serve"]


@pytest.fixture
def server(tiny_model_dir: Path) -> Iterator[subprocess.Popen[str]]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        rest_port = free.getsockname()[1]
    flags = ["--model_base_path", str(tiny_model_dir), "--port=0", f"--rest-api-port={rest_port}"]
    with subprocess.Popen(
        [*COMMAND, *flags], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.kill()


def test_it_says_what_it_is_and_where_serves_and_stops(server: subprocess.Popen[str]) -> None:
    assert server.stdout
    lines = iter(server.stdout.readline, "")
    text = "".join(itertools.islice(lines, 6))
    assert "TensorFlow Serving's protocols; it is not it" in text
    assert "model cxr: version 1" in text
    assert DISCLAIMER in text
    found = re.search(r"gRPC +(\S+)\n +REST +http://(\S+)/v1/models\n +page +http://\2/\n", text)
    assert found

    for client in (GrpcClient(found[1]), RestClient(found[2])):
        with client:
            assert client.predict([encoded_image(255)])[0].label == "PNEUMONIA"

    server.send_signal(signal.SIGTERM)
    assert server.wait(20) == 0
    assert server.stderr
    assert "Traceback" not in server.stderr.read()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ([], "--model-base-path"),
        (["--model-base-path", "nowhere"], "nowhere: no such folder"),
        (["--model-config-file", "nowhere"], "nowhere"),
    ],
    ids=str,
)
def test_mistakes_are_told_without_tensorflow(flags: list[str], words: str) -> None:
    done = subprocess.run(
        [*COMMAND, *flags], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 2
    assert words in done.stderr


@pytest.fixture
def settings_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """What the server would be started with."""
    found: dict[str, Any] = {}
    monkeypatch.setattr(command, "_serve", lambda settings, _: found.update(settings))
    monkeypatch.setattr(signal, "signal", lambda *_: None)

    def parse(*flags: str) -> dict[str, Any]:
        done = CliRunner().invoke(command.serve, [*flags, f"--model_base_path={tmp_path}"])
        assert done.exit_code == 0, done.output
        return found

    return parse


@pytest.mark.parametrize(
    ("flag", "value"),
    [("--enable_batching", True), ("--enable-batching=true", True), ("--enable_batching=false", 0)],
)
def test_booleans_as_tensorflow_serving_writes_them(
    settings_of: Callable[..., dict[str, Any]], flag: str, value: bool
) -> None:
    settings = settings_of(flag, "--port", "1")
    assert (settings["enable_batching"], settings["port"]) == (value, 1)
    assert "enable_prometheus" not in settings  # the server's own default


def test_port_0_of_rest_is_no_rest(
    settings_of: Callable[..., dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert settings_of("--rest_api_port=0")["rest_api_port"] is None
    config = SimpleNamespace(ssl_config_file=None, host="127.0.0.1")
    models = SimpleNamespace(available=lambda: {"cxr": [1]})
    command._announce(SimpleNamespace(config=config, models=models, grpc_port=8500, rest_port=None))
    assert "gRPC  127.0.0.1:8500\n" + DISCLAIMER in capsys.readouterr().out
