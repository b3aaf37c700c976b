"""kill -9 in every node: what was complete is not done again, what was half-done is not trusted."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from pipeline.history.graph import Execution, History, Run
from pipeline.run_folder import RunFolder
from pipeline.run_record import histories
from serving.versions import ModelFolder

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="finds processes and threads in /proc"),
]

# As small as gets through every node; whether such a model is any good is not asked.
TINY = (
    "--set=data.synthesize.images={pediatric: 70, nih: 130}",
    "--set=data.synthesize.seed=3",
    "--set=data_gate.on_failure=warn",
    "--set=transform.image_size=64",
    "--set=trainer.epochs=3",
    "--set=trainer.weights=none",
    "--set=grad_cam.cases=2",
    "--set=explanation_probe.max_films=6",
    "--set=explanation_probe.faithfulness_films=2",
    "--set=explanation_probe.sanity_films=2",
    "--set=evaluator.min_auc={pediatric: 0.01, nih: 0.01}",
    "--set=evaluator.min_images_per_class=1",
    "--set=evaluator.report_only=true",
)
# What compares with the data that was accepted last is a new question in each run, and what tells
# of its answer; each takes a second.
ASKED_ANEW = {"DataReport", "DataGate", "EvaluationReport"}
# Of the time that a node took undisturbed: when it is killed.
SHARE = 0.4


@dataclasses.dataclass(frozen=True)
class Ended:
    """How a run ended: its exit code, or minus the signal; and what it printed."""

    code: int
    text: str


class Forks:
    """`cxr`, in children of a process that has imported everything once."""

    def __init__(self, folder: Path) -> None:
        """Starts the process; what the children print is kept in the folder."""
        self._output = folder / "output"
        self._process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("forked_runs.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=folder,
            env=os.environ
            # A pool of threads does not survive a fork.
            | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "COLUMNS": "100"}
            | {"XDG_CACHE_HOME": str(folder / "cache")}
            | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert self._answer() == "ready"

    def run(self, root: Path, *, kill: tuple[str, float] | None = None) -> Ended:
        """One run, killed in a node so many seconds after its start."""
        request = {
            "arguments": ["run", "demo", *TINY, f"--pipeline-root={root}", _own_cache(root)],
            "kill": {"node": kill[0], "after": kill[1]} if kill else None,
            "output": str(self._output),
        }
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return Ended(self._answer()["code"], self._output.read_text())

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        """Ends the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=60)


def _own_cache(root: Path) -> str:
    return f"--set=trainer.cache.folder={root}/cache"


@pytest.fixture(scope="module")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    forks = Forks(tmp_path_factory.mktemp("forks"))
    yield forks
    forks.close()


@dataclasses.dataclass(frozen=True)
class Undisturbed:
    """A run that nobody killed, but that could not push at first: something was in the way."""

    folder: RunFolder
    failed: Run
    mended: Ended


@pytest.fixture(scope="module")
def undisturbed(forks: Forks, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    folder = RunFolder(tmp_path_factory.mktemp("undisturbed") / "demo")
    folder.serving.parent.mkdir(parents=True)
    folder.serving.write_text("a file where the folder of versions should be")
    ended = forks.run(folder.root)
    assert ended.code > 0, ended.text
    assert "Traceback" not in ended.text
    failed = _only(folder).runs[-1]
    folder.serving.unlink()
    return Undisturbed(folder, failed, forks.run(folder.root))


def _only(folder: RunFolder) -> History:
    (history,) = histories(folder)
    return history


def _nodes(run: Run) -> list[Execution]:
    return [one for one in run.executions if not one.is_resolver]


def _done(folder: RunFolder) -> Sequence[tuple[str, str]]:
    """What the last run has of each node."""
    return [(one.node, one.state) for one in _nodes(_only(folder).runs[-1])]


def test_a_failed_node_is_taken_up_where_it_failed(undisturbed: Undisturbed) -> None:
    assert undisturbed.failed.state(None) == "failed"
    assert "File exists" in undisturbed.failed.nodes["Pusher"].error
    assert undisturbed.mended.code == 0, undisturbed.mended.text
    executed = {node for node, state in _done(undisturbed.folder) if state != "cached"}
    assert executed == {*ASKED_ANEW, "Pusher"}
    assert len(ModelFolder(undisturbed.folder.serving).versions()) == 1


def test_a_run_killed_in_every_node_ends_as_one_that_was_not(
    forks: Forks, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    folder = RunFolder(tmp_path / "demo")
    plan = [(one.node, SHARE * one.seconds) for one in undisturbed.failed.executions]
    complete: set[str] = set()
    for node, after in plan:
        killed = forks.run(folder.root, kill=(node, after))
        assert killed.code == -signal.SIGKILL, (node, killed.text)
        history = _only(folder)
        run = history.runs[-1]
        _assert_resumed(run, complete)
        assert run.state(folder.running_since()) == "killed"
        _assert_nothing_left_running(folder.root)
        victim = run.nodes[node]
        if not victim.is_resolver:
            assert victim.state == "running", node
            assert not victim.outputs
            # What it wrote is nobody's.
            half_done = f"/{node}/"
            uris = [one.uri for one in history.artifacts.values() if half_done in one.uri]
            assert not [uri for uri in uris if uri.endswith(f"/{victim.id}")]
        complete |= {one.node for one in _nodes(run) if one.succeeded}

    ended = forks.run(folder.root)
    assert ended.code == 0, ended.text
    history = _only(folder)
    _assert_resumed(history.runs[-1], complete)
    assert [one.number for one in history.runs] == list(range(1, len(plan) + 2))
    for execution in _nodes(history.runs[-1]):
        for ids in execution.outputs.values():
            assert all(history.makers[one].succeeded for one in ids), execution.node

    _assert_the_same(folder, undisturbed.folder)
    serving = [path.name for path in folder.serving.iterdir()]
    assert len(serving) == 1, serving
    (version,) = ModelFolder(folder.serving).versions()
    assert (version.problem, version.labels) == ("", ("stable",))


def _assert_resumed(run: Run, complete: set[str]) -> None:
    """Nothing that was complete was done again, and nothing else was taken for done."""
    states = {one.node: one.state for one in _nodes(run)}
    again = {node for node in complete & set(states) if states[node] != "cached"}
    assert again <= ASKED_ANEW
    assert {node for node, state in states.items() if state == "cached"} <= complete


def _assert_nothing_left_running(root: Path) -> None:
    """No child outlives the process group, such as the canary's server."""
    until = time.monotonic() + 10
    while left := _processes_with(str(root)):
        assert time.monotonic() < until, left
        time.sleep(0.1)


def _processes_with(text: str) -> list[str]:
    found = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = process.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # it has ended
            continue
        if text in command:
            found.append(command)
    return found


def _assert_the_same(one: RunFolder, other: RunFolder) -> None:
    first, second = (json.loads(folder.summary.read_text()) for folder in (one, other))
    images = [summary["model"]["training"]["images_sha256"] for summary in (first, second)]
    assert images[0] == images[1]
    assert first["data"] == second["data"] | {"sources": first["data"]["sources"]}
    assert len(first["metrics"]) == len(second["metrics"])
    for ours, theirs in zip(first["metrics"], second["metrics"], strict=True):
        assert ours == {
            name: pytest.approx(value, abs=1e-4) if isinstance(value, float) else value
            for name, value in theirs.items()
        }
