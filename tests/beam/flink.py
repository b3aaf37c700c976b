"""A real Flink for the tests, where Java, Beam's job server and Flink itself can be had.

The job server is looked for at `CXR_FLINK_JOB_SERVER_JAR`, then in Beam's cache, and else fetched
from where Beam would fetch it. Flink's own distribution is looked for at `FLINK_HOME`, then in the
PyPI package `apache-flink-libraries`. What cannot be had skips a test, and fails it where
`CXR_FLINK=required`, as `make test-flink` says: there a test that was not run is no success.
"""

from __future__ import annotations

import contextlib
import http.client
import importlib.util
import json
import os
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from apache_beam.utils.subprocess_server import JavaJarServer

from tests.beam.services import ended, free_port, wait_for

# Of a session cluster, and what the manifests have.
TASK_MANAGERS = 2
SECONDS_TO_FETCH = 10.0

# What Flink's own scripts open to it on Java 17, as of its config.yaml.
OPENED = (
    *("java.base/java.lang", "java.base/java.net", "java.base/java.io", "java.base/java.nio"),
    *("java.base/sun.nio.ch", "java.base/java.lang.reflect", "java.base/java.text"),
    *("java.base/java.time", "java.base/java.util", "java.base/java.util.concurrent"),
    *("java.base/java.util.concurrent.atomic", "java.base/java.util.concurrent.locks"),
)


def job_server_jar(version: str) -> str:
    """Path of Beam's job server for a version of Flink; skips the test where it cannot be had."""
    require_java()
    given = os.environ.get("CXR_FLINK_JOB_SERVER_JAR")
    if given:
        assert Path(given).is_file(), f"CXR_FLINK_JOB_SERVER_JAR: no such file: {given}"
        return given
    url = JavaJarServer.path_to_beam_jar(f":runners:flink:{version}:job-server:shadowJar")
    if not (Path(JavaJarServer.JAR_CACHE) / Path(url).name).exists():
        request = urllib.request.Request(url, method="HEAD")
        try:
            urllib.request.urlopen(request, timeout=SECONDS_TO_FETCH).close()
        except urllib.error.HTTPError as error:
            _do_without(f"Beam's Flink job server is not at {url}: HTTP {error.code}")
        except (OSError, http.client.HTTPException) as error:
            _do_without(f"Beam's Flink job server cannot be fetched from {url}: {error}")
    return str(JavaJarServer.local_jar(url))


def distribution(version: str) -> Path:
    """Folder of Flink itself; skips the test where it cannot be had."""
    require_java()
    home = os.environ.get("FLINK_HOME")
    package = importlib.util.find_spec("pyflink")
    if home is None and package is not None and package.submodule_search_locations:
        home = next(iter(package.submodule_search_locations))
    if home is None:
        _do_without("no Flink here: neither FLINK_HOME nor the PyPI package apache-flink-libraries")
    (jar,) = Path(home, "lib").glob("flink-dist-*.jar")
    if not jar.name.startswith(f"flink-dist-{version}."):
        _do_without(f"{home} is not Flink {version}: {jar.name}")
    return Path(home)


def require_java() -> None:
    """Skips the test where there is no Java."""
    if shutil.which("java") is None:
        _do_without("Flink needs Java, and there is no `java` on the path")


def _do_without(reason: str) -> NoReturn:
    if os.environ.get("CXR_FLINK") == "required":
        pytest.fail(reason)
    pytest.skip(reason)


@contextlib.contextmanager
def session_cluster(home: Path, folder: Path) -> Iterator[str]:
    """A session cluster of as many task managers as the manifests have; yields `host:port`."""
    port, rpc = free_port(), free_port()
    config = {
        "jobmanager.rpc.address": "localhost",
        "jobmanager.rpc.port": rpc,
        "jobmanager.memory.process.size": "1024m",
        "rest.address": "localhost",
        "rest.port": port,
        "taskmanager.numberOfTaskSlots": 1,
        "blob.storage.directory": str(folder),
    }
    (folder / "config.yaml").write_text(
        "".join(f"{key}: {value}\n" for key, value in config.items())
    )
    runtime = "org.apache.flink.runtime"
    master = f"{runtime}.entrypoint.StandaloneSessionClusterEntrypoint"
    worker = f"{runtime}.taskexecutor.TaskManagerRunner"
    with contextlib.ExitStack() as started:
        logs = {}
        for number, entry in enumerate([master, *[worker] * TASK_MANAGERS]):
            log = folder / f"flink-{number}.log"
            logs[log] = started.enter_context(_java(home, entry, folder, log))

        def is_ready() -> bool:
            for log, java in logs.items():
                assert java.poll() is None, f"Flink ended by itself: {log.read_text()[-2000:]}"
            return _task_managers(port) == TASK_MANAGERS

        wait_for(is_ready, "Flink's session cluster")
        yield f"localhost:{port}"


def _task_managers(port: int) -> int:
    with contextlib.suppress(OSError, http.client.HTTPException):
        url = f"http://localhost:{port}/taskmanagers"
        with urllib.request.urlopen(url, timeout=5) as answer:
            return len(json.load(answer)["taskmanagers"])
    return 0


@contextlib.contextmanager
def _java(home: Path, entry: str, config: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    opened = [f"--add-opens={package}=ALL-UNNAMED" for package in OPENED]
    classes = f"{home}/lib/*"
    command = ["java", "-Xmx512m", *opened, "-cp", classes, entry, "--configDir", str(config)]
    if entry.endswith("TaskManagerRunner"):
        # What Flink's start script would compute of the process's size.
        command += [
            part
            for setting in (
                "taskmanager.cpu.cores=1",
                "taskmanager.memory.framework.heap.size=128m",
                "taskmanager.memory.framework.off-heap.size=128m",
                "taskmanager.memory.jvm-metaspace.size=256m",
                "taskmanager.memory.jvm-overhead.min=192m",
                "taskmanager.memory.jvm-overhead.max=192m",
                "taskmanager.memory.task.heap.size=256m",
                "taskmanager.memory.task.off-heap.size=0",
                "taskmanager.memory.managed.size=128m",
                "taskmanager.memory.network.min=64m",
                "taskmanager.memory.network.max=64m",
            )
            for part in ("-D", setting)
        ]
    with log.open("wb") as output:
        started = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        with ended(started):
            yield started
