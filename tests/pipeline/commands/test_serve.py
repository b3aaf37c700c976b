"""`cxr serve`, as a user starts and stops it."""

import itertools
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.disclaimer import DISCLAIMER
from serving.client import GrpcClient, RestClient
from tests.serving.tiny_model import encoded_image

COMMAND = [sys.executable, "-c", "from pipeline.cli import main; main()", "serve"]


@pytest.fixture
def server(tiny_model_dir: Path) -> Iterator[subprocess.Popen[str]]:
    flags = ["--model_base_path", str(tiny_model_dir), "--port", "0", "--rest-api-port=0"]
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
