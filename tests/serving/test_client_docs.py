"""The examples of docs/client.md, run as they stand there but for the ports."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import serving
from serving.server.embedded import EmbeddedServer
from tests.serving.tiny_model import encoded_image

REPOSITORY = Path(serving.__file__).parents[1]
PAGE = (REPOSITORY / "docs/client.md").read_text()
EXAMPLES = re.findall(r"```(bash|python)\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "film.png").write_bytes(encoded_image(200))
    (tmp_path / "films").mkdir()
    for level in (10, 200):
        (tmp_path / "films" / f"{level}.jpeg").write_bytes(encoded_image(level, ".jpeg"))
    (tmp_path / "films" / "notes.png").write_text("notes")
    # The command and the interpreter of this environment, by the names that users have for them.
    (tmp_path / "bin").mkdir()
    command = "-c 'from pipeline.cli import main; main()'"
    for name, arguments in {"cxr": command, "python": ""}.items():
        script = tmp_path / "bin" / name
        script.write_text(f'#!/bin/sh\nexec {sys.executable} {arguments} "$@"\n')
        script.chmod(0o755)
    return tmp_path


def run(embedded: EmbeddedServer, folder: Path, kind: str, code: str) -> str:
    code = code.replace("localhost:8500", f"127.0.0.1:{embedded.grpc_port}")
    code = code.replace("localhost:8501", f"127.0.0.1:{embedded.rest_port}")
    path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    command = ["bash", "-c", code] if kind == "bash" else [sys.executable, "-c", code]
    ended = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY), "PATH": path, "NO_PROXY": "127.0.0.1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    # The last of the commands meets the file that is no image.
    expected = 2 if "cxr predict films" in code else 0
    assert ended.returncode == expected, ended.stderr
    return ended.stdout


def test_there_are_examples_of_each_kind() -> None:
    assert [kind for kind, _ in EXAMPLES] == ["bash", "python", "python", "bash", "bash"]


def test_commands(embedded: EmbeddedServer, folder: Path) -> None:
    shown = run(embedded, folder, *EXAMPLES[0])
    assert "PNEUMONIA (1)" in shown
    assert "3 images found: 2 predicted, 1 failed, 0 skipped" in shown
    assert (folder / "explained.png").read_bytes().startswith(b"\x89PNG")
    rows = (folder / "results.csv").read_text().splitlines()
    assert len(rows) == 4
    assert all("version 7" in row for row in rows[1:]), "the stable one"


@pytest.mark.parametrize("number", [1, 2])
def test_python(embedded: EmbeddedServer, folder: Path, number: int) -> None:
    shown = run(embedded, folder, *EXAMPLES[number])
    assert "PNEUMONIA" in shown
    assert "notes.png" in shown
    if number == 1:
        assert "Warning: The image is blank" in shown
        assert (folder / "overlay.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("number", [3, 4])
def test_curl(embedded: EmbeddedServer, folder: Path, number: int) -> None:
    if shutil.which("curl") is None:
        pytest.skip("no curl on this machine")
    shown = run(embedded, folder, *EXAMPLES[number])
    assert "PNEUMONIA" in shown
    if number == 4:
        assert (folder / "overlay.png").read_bytes().startswith(b"\x89PNG")
