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
import subprocess
import sys
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
      environment: variables of every pod.
    """

    store: Path
    pods: Path
    environment: Mapping[str, str]

    def run(self, pod: str, container: Json, kubernetes: Json, executor_input: Json) -> Ended:
        """Run a container to its end.

        Args:
          pod: its name.
          container: image, command and arguments.
          kubernetes: of the platform document.
          executor_input: what the task is told; `outputFile` is set here.
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
        ended = subprocess.run(
            [sys.executable if command[0] == "python" else command[0], *command[1:]],
            # An empty folder: what runs is the installed package.
            cwd=folder / "work",
            env=os.environ
            | {
                "HOME": str(folder / "home"),
                "TMPDIR": str(folder / "tmp"),
                "CXR_KFP_MOUNTS": str(folder),
                **self.environment,
                **_from_annotations(kubernetes),
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_SECONDS,
        )
        artifacts: dict[str, tuple[str, Json]] = {}
        if ended.returncode == 0:
            artifacts = _merged(executor_input, output_file)
            self._upload(folder, artifacts)
        shutil.rmtree(folder)
        return Ended(ended.returncode, ended.stdout, artifacts)

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
