"""Both nodes, on artifacts, and with a server for a webhook."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from tfx.types import standard_artifacts

from components.disclaimer import DISCLAIMER
from components.evaluator.artifacts import Judgement as JudgementArtifact
from components.evaluator.judgement import FILE_NAME, Baseline, Gate, Judgement
from components.statistics.interval import Interval
from components.verdict import executor
from components.verdict.artifacts import RunVerdict, VerdictReport
from components.verdict.run_folder import RunFolder
from components.verdict.verdict import Failure, Verdict

GATE = Gate(
    name="auc", dataset="nih", verdict="refused", sentence="0.6 < 0.8", value=0.6, limit=0.8
)


def make_baseline(name: str) -> Baseline:
    half = Interval(estimate=0.5, lower=0.4, upper=0.6, method="DeLong")
    return Baseline(name=name, dataset="nih", auc=half, lift=half, p_value=None)


class Hook:
    """A webhook that remembers what it was sent."""

    def __init__(self, code: int = 200):
        hook = self
        self.posted: list[dict] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hook.posted.append(json.loads(body))
                self.send_response(code)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/services/secret"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def hook() -> Iterator[Hook]:
    hook = Hook()
    yield hook
    hook.close()


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder(str(tmp_path / "root/cxr-nih/run1"))


def conclude(
    run: RunFolder,
    *,
    blessed: bool = True,
    judged_in: RunFolder | None = None,
    others: tuple[str, ...] = (),
) -> Verdict:
    """Run `Verdict`."""
    judgement = JudgementArtifact()
    judgement.uri = f"{(judged_in or run).uri}/ModelGate/u1/judgement"
    Path(judgement.uri).mkdir(parents=True)
    Path(judgement.uri, FILE_NAME).write_text(
        Judgement(
            blessed=blessed, report_only=False, gates=() if blessed else (GATE,), prevalence={},
            splits={}, too_small={}, baselines=tuple(make_baseline(name) for name in others),
        ).model_dump_json()
    )  # fmt: skip
    pushed = standard_artifacts.PushedModel()
    pushed.uri = f"{(judged_in or run).uri}/Pusher/u2/pushed_model"
    pushed.set_int_custom_property("pushed", int(blessed))
    if blessed:
        pushed.set_string_custom_property("pushed_version", "17")
        pushed.set_string_custom_property("label", "stable")
        pushed.set_string_custom_property("pushed_destination", "/serving/cxr/17")
    verdict = RunVerdict()
    verdict.uri = f"{run.uri}/Verdict/u3/verdict"
    Path(verdict.uri).mkdir(parents=True)
    executor.VerdictExecutor().Do(
        {"judgement": [judgement], "pushed_model": [pushed]}, {"verdict": [verdict]}, {}
    )
    return Verdict.model_validate_json(Path(verdict.uri, "verdict.json").read_text())


def report(run: RunFolder, state: str = "COMPLETE", *, webhook: str = "", uri: str = "") -> str:
    """Run `ReportVerdict`."""
    written = VerdictReport()
    written.uri = f"{run.uri}/ReportVerdict/u4/report"
    Path(written.uri).mkdir(parents=True)
    executor.ReportVerdictExecutor().Do(
        {},
        {"report": [written]},
        {
            "final_status": json.dumps({"state": state, "error": {}, "pipelineTaskName": "x"}),
            "webhook": webhook,
            "output_uri": uri,
        },
    )
    return Path(written.uri, "verdict.md").read_text()


def test_a_blessed_model_is_reported_and_posted(
    run: RunFolder, hook: Hook, capfd: pytest.CaptureFixture[str]
) -> None:
    verdict = conclude(run)
    assert (verdict.blessed, verdict.judged_here, verdict.pushed_here) == (True, True, True)

    text = report(run, webhook=hook.url)

    assert "**blessed**, and pushed as version 17 (stable)" in text
    assert hook.posted == [{"text": text, "state": "COMPLETE", "blessed": True}]
    assert text in capfd.readouterr().out


def test_a_refused_model_is_reported_with_its_gates(run: RunFolder, hook: Hook) -> None:
    conclude(run, blessed=False)
    text = report(run, webhook=hook.url)
    assert "not blessed" in text
    assert "- auc (nih): 0.6 < 0.8" in text
    assert hook.posted[0]["blessed"] is False


def test_a_model_is_compared_with_the_last_or_said_not_to_be(run: RunFolder) -> None:
    assert conclude(run, others=("thumbnail", "last blessed")).compared
    assert "compared with earlier runs" not in report(run)


def test_trivial_models_are_no_earlier_ones(run: RunFolder) -> None:
    assert not conclude(run, others=("thumbnail",)).compared
    assert "Nothing was compared with earlier runs" in report(run)


def test_a_judgement_from_the_cache_is_one_of_this_run_too(run: RunFolder, tmp_path: Path) -> None:
    verdict = conclude(run, judged_in=RunFolder(str(tmp_path / "root/cxr-nih/run0")))
    assert (verdict.judged_here, verdict.pushed_here) == (False, False)
    assert "had been pushed by an earlier run as version 17" in report(run)


def leave(run: RunFolder, task: str) -> None:
    note = Path(run.failure(task))
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text(Failure(task=task, message="no such folder: /data").model_dump_json())


def test_a_failed_run_names_the_task_and_why(run: RunFolder, hook: Hook) -> None:
    leave(run, "XrayExampleGen")
    text = report(run, "FAILED", webhook=hook.url)
    assert "failed in XrayExampleGen." in text
    assert "no such folder: /data" in text
    assert hook.posted == [{"text": text, "state": "FAILED", "blessed": None}]


def test_a_task_that_did_well_in_a_later_attempt_did_not_fail(run: RunFolder) -> None:
    leave(run, "XrayExampleGen")
    leave(run, "Trainer")
    Path(run.uri, "XrayExampleGen/u1/examples").mkdir(parents=True)
    text = report(run, "FAILED")
    assert "failed in Trainer." in text


def test_a_cancelled_run(run: RunFolder) -> None:
    assert "was cancelled" in report(run, "CANCELED")


def test_a_store_that_does_not_answer_is_no_reason_to_be_silent(
    run: RunFolder, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")

    text = report(
        run,
        "FAILED",
        webhook=hook.url,
        uri="minio://bucket/v2/cxr-nih/run1/ReportVerdict/u4/report",
    )

    assert "run `run1`: failed." in text
    assert "could not be read: InputError: " in text
    assert "No task left a note" not in text
    assert DISCLAIMER in hook.posted[0]["text"]


@pytest.mark.parametrize("answers", [True, False])
def test_a_webhook_that_refuses_fails_nothing_and_its_address_stays_secret(
    run: RunFolder, answers: bool, caplog: pytest.LogCaptureFixture
) -> None:
    hook = Hook(500)
    if not answers:
        hook.close()
    conclude(run)

    assert "**blessed**" in report(run, webhook=hook.url)

    assert "kubeflow.webhook did not take the message" in caplog.text
    assert "secret" not in caplog.text
