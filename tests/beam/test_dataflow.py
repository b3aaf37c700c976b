"""A node's job on its way to Dataflow: Beam's own runner and Google's own clients, against services
of this machine in place of the cloud's."""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import threading
import urllib.parse
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import google_crc32c
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability.api import beam_runner_api_pb2

from components.example_gen.beam_io import Survey
from pipeline.beam import BeamSettings, beam_args
from tests.beam.services import within

JOB = "2026-01-01_00_00_00-1"
# Of a file whose name was said.
UPLOADS = "/content/"
IMAGE = "europe-docker.pkg.dev/p/r/cxr-dataflow:1"
SETTINGS = {
    "project": "my-project",
    "region": "europe-west4",
    "temp_location": "gs://bucket/temp",
    "staging_location": "gs://bucket/staging",
    "image": IMAGE,
    "machine_type": "n2-standard-4",
    "max_workers": 20,
}


class Cloud:
    """What was asked of the services.

    Attributes:
      address: of both, on this machine.
      objects: what was put into the bucket, by name.
      jobs: descriptions of the jobs that were created.
    """

    def __init__(self, address: str):
        self.address = address
        self.objects: dict[str, bytes] = {}
        self.jobs: list[dict[str, Any]] = []

    def answer(self, method: str, path: str, body: bytes) -> dict[str, Any] | None:
        """An answer in JSON, or None for what is not there."""
        if "/jobs" in path:
            if method == "POST":
                self.jobs.append(json.loads(body))
            return {"id": JOB, "name": "cxr", "currentState": "JOB_STATE_DONE"}
        if path.startswith(UPLOADS):
            self.objects[path.removeprefix(UPLOADS)] = body
            digests = {"crc32c": google_crc32c.Checksum(body), "md5Hash": hashlib.md5(body)}
            return {name: base64.b64encode(one.digest()).decode() for name, one in digests.items()}
        if path.startswith("/upload/"):
            return {"name": json.loads(body)["name"]}
        if path.endswith("/b/bucket"):
            return {"name": "bucket", "location": "EUROPE-WEST4"}
        return None


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def _handle(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            path = urllib.parse.urlsplit(self.path).path
            answer = found.answer(self.command, path, body)
            self.send_response(404 if answer is None else 200)
            self.send_header("Content-Type", "application/json")
            if path.startswith("/upload/") and answer:
                # Where the content is to be put, once its name is said.
                self.send_header("Location", f"{found.address}{UPLOADS}{answer.get('name')}")
            self.end_headers()
            self.wfile.write(json.dumps(answer or {}).encode())

        do_GET = do_POST = do_PUT = _handle  # noqa: N815 (the server's names)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("localhost", 0), Handler) as server:
        found = Cloud(f"http://localhost:{server.server_port}")
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", found.address)
        # Google's client would look for its machine's own identity.
        monkeypatch.setenv("NO_GCE_CHECK", "true")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield found
        server.shutdown()


def test_a_job_is_described_staged_and_submitted(cloud: Cloud) -> None:
    settings = BeamSettings.model_validate({"runner": "dataflow", "dataflow": SETTINGS})
    options = PipelineOptions(
        [
            *beam_args(settings, node="XrayExampleGen"),
            *("--no_auth", f"--dataflow_endpoint={cloud.address}", "--job_name=cxr-ingest"),
        ]
    )

    def submit() -> None:
        job = beam.Pipeline(options=options)
        _ = job | beam.Create([b""]) | Survey(1) | beam.io.WriteToText("gs://bucket/survey")
        job.run()

    within(60, submit)
    (job,) = cloud.jobs
    (workers,) = job["environment"]["workerPools"]
    assert job["name"] == "cxr-ingest"
    assert workers["machineType"] == "n2-standard-4"
    assert workers["autoscalingSettings"]["maxNumWorkers"] == 20
    assert [one["containerImage"] for one in workers["sdkHarnessContainerImages"]] == [IMAGE]
    assert "use_runner_v2" in job["environment"]["experiments"]
    # All that is staged is the pipeline itself, whose code is what the image has.
    (name,) = cloud.objects
    assert name.startswith("staging/")
    staged = beam_runner_api_pb2.Pipeline.FromString(cloud.objects[name])
    environments = staged.components.environments.values()
    images = {
        beam_runner_api_pb2.DockerPayload.FromString(one.payload).container_image
        for one in environments
    }
    assert images == {IMAGE}
    assert not any(one.dependencies for one in environments)
    names = [one.unique_name for one in staged.components.transforms.values()]
    assert any(one.startswith("Survey/Open") for one in names)
