"""The container image, as far as it can be tried without an engine: its context and its wheel."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CONTAINERFILE = (ROOT / "Containerfile").read_text()
PACKAGES = ("components", "pipeline", "serving")


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a build sees: the entries that .dockerignore lets through."""
    lines = (ROOT / ".dockerignore").read_text().split()
    assert lines[0] == "*"
    folder = tmp_path_factory.mktemp("context")
    for name in (line[1:] for line in lines if line.startswith("!")):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def installed(context: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that the image installs, unpacked as an installer does."""
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory"]
    subprocess.run([*command, str(out)], cwd=context, check=True, capture_output=True)
    (wheel,) = out.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(out / "site-packages")
    return out / "site-packages"


def test_the_wheel_holds_every_file_of_the_packages(context: Path, installed: Path) -> None:
    # Templates, scripts, configs and manifests, too.
    for package in PACKAGES:
        source = {
            file.relative_to(context)
            for file in (context / package).rglob("*")
            if file.is_file() and file.suffix != ".pyc"
        }
        wheel = {
            file.relative_to(installed)
            for file in (installed / package).rglob("*")
            if file.is_file() and file.suffix != ".pyc"
        }
        assert wheel == source


def test_the_command_runs_from_the_wheel_alone(installed: Path, tmp_path: Path) -> None:
    program = "import pipeline.cli as cli; print(cli.__file__); cli.main()"
    done = subprocess.run(
        [sys.executable, "-P", "-c", program, "--help"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith(str(installed))
    assert "Run an experiment" in done.stdout


def test_beams_boot_program_is_that_of_the_locked_beam_and_of_the_bases_python() -> None:
    sdk = re.search(r"FROM apache/beam_python(\S+)_sdk:(\S+)", CONTAINERFILE)
    base = re.search(r"ARG PYTHON=python:([\d.]+)-slim", CONTAINERFILE)
    assert sdk
    assert base
    assert sdk[1] == base[1]
    assert sdk[2] == importlib.metadata.version("apache-beam")


def test_every_stage_that_is_run_has_a_numeric_user() -> None:
    # Kubernetes refuses `runAsNonRoot` with a name.
    users = re.findall(r"^USER (\S+)", CONTAINERFILE, flags=re.MULTILINE)
    assert users
    assert all(re.fullmatch(r"[1-9]\d*:[1-9]\d*", user) for user in users)
