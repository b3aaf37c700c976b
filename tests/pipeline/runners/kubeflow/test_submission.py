"""`cxr submit`, against Kubeflow's REST API on loopback, through its own client."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf import json_format
from kfp.kubernetes import kubernetes_executor_config_pb2

from components.errors import InputError
from components.example_gen.synthetic.layouts import synthesize
from components.verdict import executor as verdict_executor
from components.verdict.message import Found
from components.verdict.verdict import Failure, Verdict
from pipeline import cli
from pipeline.runners.kubeflow import submission
from tests.pipeline.runners.kubeflow.fake_api import RUN, FakeApi

ROOT = "minio://bucket/cxr"
# What pods need to open these places.
MINIO = ("--set", "kubeflow.env.AWS_ENDPOINT_URL=http://minio-service.kubeflow:9000")
CLAIM = ("--set", "kubeflow.volumes=[{claim: x-rays, path: /data}]")
PLACE = ("--pipeline-root", ROOT, "--image", "registry/cxr:1", *MINIO, *CLAIM)


@pytest.fixture(autouse=True)
def _apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """From the user's own Kubeflow."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("KF_PIPELINES_ENDPOINT", "KF_PIPELINES_UI_ENDPOINT", "CXR_KFP_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(submission, "POLL_SECONDS", 0.01)


def cxr_submit(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Run the command as a user does; returns the exit code."""
    monkeypatch.setattr(sys, "argv", ["cxr", "submit", *arguments])
    try:
        cli.main()
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def node(run: dict[str, Any], name: str) -> dict[str, Any]:
    components = run["pipeline_spec"]["pipeline_spec"]["components"]
    return components["tfx-dag"]["dag"]["tasks"][name]


def test_an_experiment_is_compiled_and_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    api, kept = FakeApi(token="secret"), tmp_path / "kept.yaml"
    with api.serve() as endpoint:
        code = cxr_submit(
            monkeypatch, "pediatric", *PLACE, "--endpoint", endpoint, "--token", "secret",
            "--namespace", "team", "--experiment-name", "x-rays", "--run-name", "first",
            "--service-account", "runner", "--set", "trainer.epochs=3", "-o", str(kept),
            "--parameter", "train_steps=20", "--parameter", "overrides=trainer.seed=1",
            "--parameter", "overrides=trainer.batch_size=8",
        )  # fmt: skip
    assert code == 0
    (run,) = api.runs
    assert run["display_name"] == "first"
    assert run["experiment_id"] == "id-x-rays"
    assert run["service_account"] == "runner"
    assert api.namespaces == ["team"]
    assert run["runtime_config"] == {
        "pipeline_root": ROOT,
        "parameters": {
            "train_steps": 20,
            "overrides": "trainer.seed=1\ntrainer.batch_size=8",
        },
    }
    custom_config = node(run, "Trainer")["inputs"]["parameters"]["custom_config"]
    settings = json.loads(custom_config["runtimeValue"]["constant"])["settings"]
    assert settings["epochs"] == 3
    platforms = run["pipeline_spec"]["platform_spec"]["platforms"]
    for config in platforms["kubernetes"]["deploymentSpec"]["executors"].values():
        json_format.ParseDict(config, kubernetes_executor_config_pb2.KubernetesExecutorConfig())
    assert len(list(yaml.safe_load_all(kept.read_text()))) == 2
    said = capfd.readouterr()
    assert f"{endpoint}/#/runs/details/{RUN}" in said.out
    assert f"Run {RUN} of cxr-pediatric" in said.out
    assert "not compared with the one blessed last" in said.err


def test_what_no_pod_could_open_is_refused_before_anything_runs(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    api = FakeApi()
    with api.serve() as endpoint:
        # All by default: artifacts, and models below them, in Kubeflow's MinIO; data in /data.
        for given, message in [
            ((), "--data-root: pediatric in /data: no pod has this folder"),
            (CLAIM, "--serving-root: minio://mlpipeline/v2/artifacts/cxr-pediatric/serving/cxr: "),
        ]:
            assert cxr_submit(monkeypatch, "pediatric", "--endpoint", endpoint, *given) == 2
            assert message in " ".join(capfd.readouterr().err.split())
        assert not api.runs
        assert cxr_submit(monkeypatch, "pediatric", "--endpoint", endpoint, *CLAIM, *MINIO) == 0
    assert len(api.runs) == 1


def test_data_that_is_seen_from_here_may_come_from_the_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    synthesize("pediatric", images=24, out=tmp_path / "data", seed=1)
    api = FakeApi()
    with api.serve() as endpoint:
        here = ("--endpoint", endpoint, "--local-data", str(tmp_path / "data"))
        assert cxr_submit(monkeypatch, "pediatric", *PLACE, *here) == 0
        image = next((tmp_path / "data").rglob("*.jpeg"))
        image.write_bytes(image.read_bytes() + b"\0")
        assert cxr_submit(monkeypatch, "pediatric", *PLACE, *here) == 0
    before, after = (node(run, "XrayExampleGen") for run in api.runs)
    assert before["cachingOptions"] == after["cachingOptions"] == {"enableCache": True}
    sources = before["inputs"]["parameters"]["sources"]["runtimeValue"]["constant"]
    assert json.loads(sources)["pediatric"]["folder"] == "/data"
    fingerprints = [one["inputs"]["parameters"]["fingerprint"] for one in (before, after)]
    assert fingerprints[0] != fingerprints[1]


def blessed(*, yes: bool) -> Found:
    return Found(
        verdict=Verdict(
            blessed=yes,
            report_only=False,
            refused_by=() if yes else ("AUC (pediatric): 0.7, and 0.95 was asked for",),
            judged_here=True,
            push=None,
            pushed_here=True,
            compared=False,
        )
    )


@pytest.mark.parametrize(
    ("states", "found", "code", "said"),
    [
        (("PENDING", "RUNNING", "SUCCEEDED"), blessed(yes=True), 0, "**blessed**"),
        (("SUCCEEDED",), blessed(yes=False), 3, "AUC (pediatric): 0.7"),
        (("SUCCEEDED",), Found(unreadable="no such bucket"), 0, "no such bucket"),
        (
            ("RUNNING", "FAILED"),
            Found(failures=(Failure(task="Trainer", message="no memory"),)),
            1,
            "failed in Trainer",
        ),
        (("CANCELING", "CANCELED"), Found(), 1, "was cancelled"),
    ],
)
def test_the_end_of_a_run_is_waited_for_and_told(
    states: tuple[str, ...],
    found: Found,
    code: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    looked: list[str] = []
    monkeypatch.setattr(verdict_executor, "find", lambda folder: looked.append(folder.uri) or found)
    with FakeApi(states=states).serve() as endpoint:
        ended = cxr_submit(monkeypatch, "pediatric", *PLACE, "--endpoint", endpoint, "--wait")
    assert ended == code
    assert looked == [f"{ROOT}/cxr-pediatric/{RUN}"]
    printed = capfd.readouterr().out
    assert said in printed
    assert all(state in printed.splitlines() for state in states)


def waited(api: FakeApi) -> str:
    """The state in which a run's end was waited for."""
    with api.serve() as endpoint:
        reached = submission.Api(endpoint, namespace="team")
        return submission.wait(reached.connect(), reached, RUN)


def test_a_run_is_waited_for_while_the_api_restarts() -> None:
    # Five minutes' worth, and again after an answer.
    states = ("RUNNING", "SUCCEEDED")
    assert waited(FakeApi(states=states, refusals=(503,) * 20)) == "SUCCEEDED"
    with pytest.raises(InputError, match="answered 503"):
        waited(api := FakeApi(refusals=(503,) * 30))
    assert api.polls == 21


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_run_that_cannot_be_asked_for_is_not_asked_for_again(status: int) -> None:
    api = FakeApi(refusals=(503, status))
    with pytest.raises(InputError, match=f"answered {status}"):
        waited(api)
    assert api.polls == 2


def test_a_run_that_takes_too_long_goes_on(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with FakeApi(states=("RUNNING",)).serve() as endpoint:
        waited = ("--endpoint", endpoint, "--wait", "--timeout", "0.1")
        assert cxr_submit(monkeypatch, "pediatric", *PLACE, *waited) == 1
    assert "The run is not over: RUNNING" in capfd.readouterr().err


def test_nobody_is_timed_who_does_not_wait(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert cxr_submit(monkeypatch, "pediatric", *PLACE, "--timeout", "5") == 2
    assert "--timeout is for --wait" in capfd.readouterr().err


def test_an_api_that_refuses_is_told(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    api = FakeApi(token="secret")
    with api.serve() as endpoint:
        wrong = ("--endpoint", endpoint, "--namespace", "team", "--token", "guess")
        assert cxr_submit(monkeypatch, "pediatric", *PLACE, *wrong) == 2
    said = capfd.readouterr().err
    assert "answered 401" in said
    assert "who are you?" in said
    assert "guess" not in said
    assert not api.runs


def test_an_api_that_is_not_there_is_told(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with FakeApi().serve() as endpoint:
        pass
    gone = ("--endpoint", endpoint, "--namespace", "team")
    assert cxr_submit(monkeypatch, "pediatric", *PLACE, *gone) == 2
    assert f"--endpoint {endpoint}: does not answer" in capfd.readouterr().err


def test_other_data_needs_a_fingerprint_where_the_file_has_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    synthesize("pediatric", images=24, out=tmp_path / "data", seed=1)
    api = FakeApi()
    with api.serve() as endpoint:
        here = ("--endpoint", endpoint, "--local-data", str(tmp_path / "data"))
        moved = (*here, "--parameter", "data_root=/data/elsewhere")
        assert cxr_submit(monkeypatch, "pediatric", *PLACE, *moved) == 2
        assert "give data_fingerprint as well" in capfd.readouterr().err
        assert not api.runs
        known = (*moved, "--parameter", "data_fingerprint=of-march")
        assert cxr_submit(monkeypatch, "pediatric", *PLACE, *known) == 0
        # Without one it is read anew.
        unseen = ("--endpoint", endpoint, "--parameter", "data_root=/data/elsewhere")
        assert cxr_submit(monkeypatch, "pediatric", *PLACE, *unseen) == 0
    given = [run["runtime_config"]["parameters"] for run in api.runs]
    assert [one["data_root"] for one in given] == ["/data/elsewhere"] * 2


def test_places_of_one_run_that_no_pod_could_open_are_refused(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    api = FakeApi()
    with api.serve() as endpoint:
        for parameter in ("data_root=/elsewhere", "serving_root=/elsewhere"):
            moved = ("--endpoint", endpoint, "--parameter", parameter)
            assert cxr_submit(monkeypatch, "pediatric", *PLACE, *moved) == 2
            assert "no pod has this folder" in " ".join(capfd.readouterr().err.split())
    assert not api.runs


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            "steps=3",
            "with one of overrides, data_root, data_fingerprint, serving_root, train_steps",
        ),
        ("train_steps", "write it as name=value"),
        ("train_steps=many", "train_steps is a whole number"),
        ("train_steps=-1", "train_steps is a whole number"),
    ],
)
def test_parameters_that_are_none_are_refused(given: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        submission.read_parameters([given])


def test_data_that_was_said_to_be_here_is_looked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for folder, message in [
        (tmp_path / "gone", "--local-data: no such folder"),
        (tmp_path, "the pediatric dataset is in none of these folders"),
    ]:
        assert cxr_submit(monkeypatch, "pediatric", *PLACE, "--local-data", str(folder)) == 2
        assert message in capfd.readouterr().err
