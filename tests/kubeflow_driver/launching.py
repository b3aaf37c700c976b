"""A container of a task: as Kubeflow's launcher runs it (backend/src/v2/component/launcher_v2.go).

Each attempt is a pod of its own, whose folders are empty at first and gone afterwards: what a node
did not put among its outputs no other can see.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from tests.kubeflow_driver.documents import Json

SCHEME = "minio://"
_SECONDS = 900
_ANNOTATION = re.compile(r"metadata\.annotations\['(.+)'\]")


@dataclasses.dataclass(frozen=True)
class Ended:
    """A container that ended.

    Attributes:
      code: its exit code.
      log: what it printed.
      artifacts: URI and metadata of each output, as ML Metadata gives them back.
    """

    code: int
    log: str
    artifacts: Mapping[str, tuple[str, Json]]


@dataclasses.dataclass(frozen=True)
class Launcher:
    """Runs containers of this machine's interpreter on a folder for an object store.

    Attributes:
      store: buckets are its folders.
      pods: folder of the pods' files.
      secrets: of the namespace: each secret's keys and what they hold.
    """

    store: Path
    pods: Path
    secrets: Mapping[str, Mapping[str, str]]

    def run(
        self,
        pod: str,
        container: Json,
        kubernetes: Json,
        executor_input: Json,
        *,
        killed: bool = False,
    ) -> Ended:
        """Run a container to its end.

        Args:
          pod: its name.
          container: image, command and arguments.
          kubernetes: of the platform document.
          executor_input: what the task is told; `outputFile` is set here.
          killed: whether it is killed once it has begun to write its outputs.
        """
        folder = self.pods / pod
        output_file = folder / "kfp_outputs/output_metadata.json"
        executor_input = json.loads(json.dumps(executor_input))
        executor_input["outputs"]["outputFile"] = str(output_file)
        for name in ("home", "tmp", "work"):
            (folder / name).mkdir(parents=True)
        self._download(folder, executor_input)
        command = [
            _replaced(word, executor_input) for word in container["command"] + container["args"]
        ]
        log = folder / "log"
        with log.open("wb") as written:
            process = subprocess.Popen(
                command,
                # An empty folder: what runs is the installed package.
                cwd=folder / "work",
                env=_of_image(folder) | self._environment(container, kubernetes),
                stdin=subprocess.DEVNULL,
                stdout=written,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                if killed:
                    outputs = _artifacts(executor_input["outputs"])
                    _await_a_file([_local(folder, one["uri"]) for one in outputs], process)
                    os.killpg(process.pid, signal.SIGKILL)
                code = process.wait(_SECONDS)
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
        artifacts: dict[str, tuple[str, Json]] = {}
        if code == 0:
            artifacts = _merged(executor_input, output_file)
            self._upload(folder, artifacts)
        text = log.read_text(errors="replace")
        shutil.rmtree(folder)
        return Ended(code, text, artifacts)

    def _environment(self, container: Json, kubernetes: Json) -> dict[str, str]:
        """What the pipeline says of it; secrets come last (driver, `extendPodSpecPatch`)."""
        said = {one["name"]: one["value"] for one in container.get("env", ())}
        return said | _from_annotations(kubernetes) | self._from_secrets(kubernetes)

    def _from_secrets(self, kubernetes: Json) -> dict[str, str]:
        found = {}
        for secret in kubernetes.get("secretAsEnv", ()):
            held = self.secrets.get(secret["secretName"], {})
            for one in secret["keyToEnv"]:
                if one["secretKey"] in held:
                    found[one["envVar"]] = held[one["secretKey"]]
                elif not secret.get("optional"):
                    raise RuntimeError(f"CreateContainerConfigError: no key {one} in {secret}")
        return found

    def _download(self, pod: Path, executor_input: Json) -> None:
        """Bring all files of the inputs, and make the outputs' parents."""
        for artifact in _artifacts(executor_input["inputs"]):
            source = self.store / artifact["uri"].removeprefix(SCHEME)
            for file in source.rglob("*"):
                if file.is_file():
                    copy = _local(pod, artifact["uri"]) / file.relative_to(source)
                    copy.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(file, copy)
        for artifact in _artifacts(executor_input["outputs"]):
            _local(pod, artifact["uri"]).parent.mkdir(parents=True, exist_ok=True)

    def _upload(self, pod: Path, artifacts: Mapping[str, tuple[str, Json]]) -> None:
        """Files only: an object store has no empty folders."""
        for uri, _ in artifacts.values():
            if not uri.startswith(SCHEME):
                raise RuntimeError(f"{uri}: an output is nothing in the object store")
            made = _local(pod, uri)
            for file in made.rglob("*"):
                if file.is_file():
                    copy = self.store / uri.removeprefix(SCHEME) / file.relative_to(made)
                    copy.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(file, copy)


def _of_image(pod: Path) -> dict[str, str]:
    """The environment of a container that is told nothing: none of this machine's.

    Without `TMPDIR` and what the launcher is told of this machine it is what the image has.
    """
    project = {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}
    return project | {
        "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(pod / "home"),
        "TMPDIR": str(pod / "tmp"),
        "CXR_KFP_MOUNTS": str(pod),
    }


def _await_a_file(folders: list[Path], process: subprocess.Popen[bytes]) -> None:
    """Wait until a process has begun to write a file into one of the folders."""
    while not any(files for folder in folders for _, _, files in os.walk(folder)):
        if process.poll() is not None:
            raise RuntimeError("the container ended before it wrote any of its outputs")
        time.sleep(0.002)


def _local(pod: Path, uri: str) -> Path:
    return pod / "minio" / uri.removeprefix(SCHEME)


def _artifacts(side: Json) -> list[Json]:
    return [one for found in side["artifacts"].values() for one in found["artifacts"]]


def _replaced(word: str, executor_input: Json) -> str:
    """Placeholders are replaced as plain text."""
    found = word.replace("{{$}}", json.dumps(executor_input))
    if found == word and "{{$" in word:
        raise RuntimeError(f"a placeholder that is not known: {word}")
    return found


def _from_annotations(kubernetes: Json) -> dict[str, str]:
    """Kubernetes' downward API."""
    annotations = kubernetes.get("podMetadata", {}).get("annotations", {})
    found = {}
    for one in kubernetes.get("fieldPathAsEnv", ()):
        matched = _ANNOTATION.fullmatch(one["fieldPath"])
        if matched is None:
            raise RuntimeError(f"a field that is not known: {one['fieldPath']}")
        found[one["name"]] = annotations[matched[1]]
    return found


def _merged(executor_input: Json, output_file: Path) -> dict[str, tuple[str, Json]]:
    """The outputs as they were planned, with what the executor says of them."""
    said = pipeline_spec_pb2.ExecutorOutput()
    json_format.Parse(output_file.read_text(), said)
    merged = {}
    for key, planned in executor_input["outputs"]["artifacts"].items():
        (artifact,) = planned["artifacts"]
        uri, metadata = artifact["uri"], dict(artifact.get("metadata", {}))
        if key in said.artifacts:
            told = json_format.MessageToDict(said.artifacts[key].artifacts[0])
            uri = told.get("uri", uri)
            metadata |= told.get("metadata", {})
        merged[key] = (uri, {name: _kept(name, value) for name, value in metadata.items()})
    return merged


def _kept(name: str, value: Any) -> Any:
    """How a property comes back from ML Metadata (backend/src/v2/metadata/converter.go)."""
    if value is None:
        raise RuntimeError(f"metadata {name}: unknown or unsupported value type null")
    if isinstance(value, bool):
        return float(value)
    if isinstance(value, int):
        return float(value)
    if isinstance(value, list):
        return {"list": value}
    if isinstance(value, dict):
        return {"struct": value}
    return value
