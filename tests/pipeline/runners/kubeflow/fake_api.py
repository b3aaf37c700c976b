"""Kubeflow Pipelines' REST API, as far as its own client calls it to run a pipeline."""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
import urllib.parse
from collections.abc import Iterator
from typing import Any

from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

RUN = "5ae5bb3c-0a67-4c1d-8d0c-7a4ef0a4f6f1"


class FakeApi:
    """What the server has, and what it was asked.

    It refuses what Kubeflow's own would: pipelines that are none, and unknown parameters.
    """

    def __init__(
        self,
        *,
        token: str = "",
        states: tuple[str, ...] = ("SUCCEEDED",),
        refusals: tuple[int, ...] = (),
    ):
        self.token = token
        self.states = list(states)
        # HTTP statuses, when it is first asked for a run.
        self.refusals = list(refusals)
        self.polls = 0
        self.experiments: dict[str, dict[str, Any]] = {}
        self.runs: list[dict[str, Any]] = []
        self.namespaces: list[str] = []

    @contextlib.contextmanager
    def serve(self) -> Iterator[str]:
        """Yields the endpoint."""
        api = self

        class Handler(_Handler):
            fake = api

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    def get(self, path: str, query: dict[str, list[str]]) -> tuple[int, dict[str, Any]]:
        if path == "/apis/v2beta1/healthz":
            return 200, {"multi_user": False}
        if path == "/apis/v2beta1/experiments":
            self.namespaces += query.get("namespace", [])
            (predicate,) = json.loads(query["filter"][0])["predicates"]
            found = self.experiments.get(predicate["stringValue"])
            return 200, {"experiments": [found]} if found else {}
        if path == f"/apis/v2beta1/runs/{RUN}":
            self.polls += 1
            if self.refusals:
                return self.refusals.pop(0), {"message": "not now"}
            state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
            return 200, {"run_id": RUN, "state": state}
        return 404, {"message": f"no {path}"}

    def post(self, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if path == "/apis/v2beta1/experiments":
            name = body["display_name"]
            self.experiments[name] = {"experiment_id": f"id-{name}", "display_name": name}
            return 200, self.experiments[name]
        if path == "/apis/v2beta1/runs":
            return self._run(body)
        return 404, {"message": f"no {path}"}

    def _run(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        given = body["pipeline_spec"]
        try:
            spec = json_format.ParseDict(given["pipeline_spec"], pipeline_spec_pb2.PipelineSpec())
            json_format.ParseDict(given["platform_spec"], pipeline_spec_pb2.PlatformSpec())
        except (json_format.ParseError, KeyError) as error:
            return 400, {"message": f"no pipeline: {error}"}
        parameters = body["runtime_config"].get("parameters", {})
        unknown = parameters.keys() - set(spec.root.input_definitions.parameters)
        if unknown:
            return 400, {"message": f"parameters are not in the pipeline: {sorted(unknown)}"}
        self.runs.append(body)
        return 200, body | {"run_id": RUN, "state": "PENDING"}


class _Handler(http.server.BaseHTTPRequestHandler):
    fake: FakeApi

    def do_GET(self) -> None:
        url = urllib.parse.urlsplit(self.path)
        self._answer(lambda: self.fake.get(url.path, urllib.parse.parse_qs(url.query)))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._answer(lambda: self.fake.post(self.path, body))

    def _answer(self, ask: Any) -> None:
        wanted = f"Bearer {self.fake.token}"
        allowed = not self.fake.token or self.headers.get("authorization") == wanted
        status, answer = ask() if allowed else (401, {"message": "who are you?"})
        text = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *args: Any) -> None:
        """Says nothing."""
