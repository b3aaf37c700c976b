"""Starts the server that a model is tried on, as TFX's InfraValidator wants it started."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tfx.components.infra_validator import error_types
from tfx.components.infra_validator.model_server_runners.base_runner import BaseModelServerRunner
from tfx.components.infra_validator.model_server_runners.local_docker_runner import (
    LocalDockerRunner,
)
from tfx.components.infra_validator.serving_bins import ServingBinary

from components.infra_canary.settings import InfraCanarySettings

_IMAGE = "tensorflow/serving"
_STOP_SECONDS = 10
# Where this package is found, whatever the folder that the run was started in.
_ROOT = Path(__file__).parents[2]


class EmbeddedRunner(BaseModelServerRunner):
    """The embedded server, in a process of its own."""

    def __init__(self, model_path: str, model_name: str) -> None:
        """Takes a version's folder, `.../MODEL/VERSION`."""
        self._folder = str(Path(model_path).parent)
        self._model_name = model_name
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  (open until Stop)
        self._process: subprocess.Popen[bytes] | None = None
        self._endpoint = ""

    def __repr__(self) -> str:
        return "the embedded server"

    def Start(self) -> None:
        """Start the process."""
        paths = [str(_ROOT), os.environ.get("PYTHONPATH", "")]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "components.infra_canary.serve", self._folder, self._model_name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        )

    def WaitUntilRunning(self, deadline: float) -> None:
        """Wait for its port, which it prints.

        Raises:
          JobAborted: if the process ends instead.
          DeadlineExceeded: if it does neither.
        """
        process = self._running()
        assert process.stdout is not None
        readable, _, _ = select.select([process.stdout], [], [], max(0, deadline - time.time()))
        if not readable:
            raise error_types.DeadlineExceeded("the server did not load the model in time")
        port = process.stdout.readline().strip()
        if not port:
            raise error_types.JobAborted(f"the server ended while it loaded: {self.ending()}")
        self._endpoint = f"127.0.0.1:{int(port)}"

    def GetEndpoint(self) -> str:
        """Host and port of gRPC."""
        assert self._endpoint, "the server does not run yet"
        return self._endpoint

    def ending(self) -> str:
        """How the process ended; empty while it runs."""
        process = self._running()
        try:
            # What closed its connections may not quite have ended.
            code = process.wait(1)
        except subprocess.TimeoutExpired:
            return ""
        return f"signal {-code}" if code < 0 else f"exit code {code}"

    def Stop(self) -> None:
        """Let it finish; end it if it does not, or has not come so far as to serve."""
        if self._process is None:
            return
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        if not self._endpoint:
            self._process.kill()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._log.close()

    def GetLogs(self) -> str | None:
        """What it wrote to standard error."""
        self._log.seek(0)
        return self._log.read().decode(errors="replace")

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "the server was not started"
        return self._process


def create_runner(
    settings: InfraCanarySettings,
    model_path: str,
    model_name: str,
    serving_binary: ServingBinary,
    serving_spec: Any,
) -> BaseModelServerRunner:
    """TensorFlow Serving where it can be had, or the embedded server.

    Args:
      settings: which is wanted.
      model_path: a version's folder, `.../MODEL/VERSION`.
      model_name: under which it is served.
      serving_binary: the image, as TFX describes it.
      serving_spec: a `ServingSpec`, how TFX runs it.
    """
    docker = settings.server == "docker"
    if docker or (settings.server == "auto" and has_image(f"{_IMAGE}:{settings.image_tag}")):
        return LocalDockerRunner(model_path, serving_binary, serving_spec)
    return EmbeddedRunner(model_path, model_name)


def has_image(image: str) -> bool:
    """Whether a Docker engine answers, and has the image or gets it."""
    import docker

    try:
        client = docker.from_env(timeout=5)
    except docker.errors.DockerException:
        return False
    try:
        client.images.get(image)
    except docker.errors.ImageNotFound:
        try:
            client.api.timeout = 600
            client.images.pull(image)
        except docker.errors.DockerException:
            return False
    except docker.errors.DockerException:
        return False
    finally:
        client.close()
    return True
