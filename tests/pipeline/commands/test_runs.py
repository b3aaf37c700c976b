"""`cxr runs` over ML Metadata with two complete runs, a killed one and a failed one."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import ml_metadata as mlmd
import pytest
from click.testing import CliRunner
from ml_metadata.proto import metadata_store_pb2 as mlmd_pb2
from tfx.dsl.io import fileio

from components.errors import InputError
from components.evaluator.judgement import FILE_NAME
from pipeline.cli import cli
from pipeline.history import collection
from pipeline.history.graph import History
from pipeline.history.reading import ERROR
from pipeline.metadata import MetadataSettings, connection_config
from pipeline.run_folder import Known, RunFolder
from pipeline.run_record import histories
from tests import stores
from tests.components.report import samples

STATES = mlmd_pb2.Execution
PIPELINE = "cxr-nih"


class Recorder:
    """Writes what LocalDagRunner would, with a small file in every artifact."""

    def __init__(self, folder: RunFolder, store: str = "") -> None:
        """Takes the folder of the runs, and the URI of artifacts that are elsewhere."""
        self.folder = folder
        self.artifacts = store or str(folder.artifacts)
        folder.root.mkdir(parents=True)
        self.store = mlmd.MetadataStore(connection_config(MetadataSettings(), folder.metadata))
        self._types: dict[str, int] = {}
        self._contexts: dict[tuple[str, str], int] = {}

    def context(self, kind: str, name: str) -> int:
        """The id of a context, made when it is new."""
        if (kind, name) not in self._contexts:
            made = mlmd_pb2.ContextType(name=kind)
            context = mlmd_pb2.Context(type_id=self.store.put_context_type(made), name=name)
            (self._contexts[kind, name],) = self.store.put_contexts([context])
        return self._contexts[kind, name]

    def node(
        self,
        run: str,
        node: str,
        state: int = STATES.COMPLETE,
        *,
        reads: Mapping[str, int] | None = None,
        makes: Mapping[str, str] | None = None,
        again: Mapping[str, int] | None = None,
        properties: Mapping[str, Any] | None = None,
        noted: Mapping[str, Any] | None = None,
    ) -> dict[str, int]:
        """One execution; its outputs by key.

        Args:
          run: its run.
          node: its name.
          state: how it ended.
          reads: artifacts by key.
          makes: types of new artifacts by key.
          again: artifacts of an earlier run, by key.
          properties: of the execution.
          noted: on the artifacts.
        """
        kind = self.store.put_execution_type(mlmd_pb2.ExecutionType(name=f"components.{node}"))
        execution = mlmd_pb2.Execution(type_id=kind, last_known_state=state)
        _fill(execution.custom_properties, properties or {})
        (number,) = self.store.put_executions([execution])
        contexts = [("pipeline", PIPELINE), ("pipeline_run", run), ("node", f"{PIPELINE}.{node}")]
        self.store.put_attributions_and_associations(
            [],
            [
                mlmd_pb2.Association(execution_id=number, context_id=self.context(*one))
                for one in contexts
            ],
        )
        outputs = dict(again or {})
        for key, type_name in (makes or {}).items():
            path = f"{self.artifacts}/{node}/{key}/{number}"
            fileio.makedirs(path)
            with fileio.open(f"{path}/file", "wb") as file:
                file.write(b"x" * 1000)
            type_id = self.store.put_artifact_type(mlmd_pb2.ArtifactType(name=type_name))
            artifact = mlmd_pb2.Artifact(type_id=type_id, uri=path, state=mlmd_pb2.Artifact.LIVE)
            _fill(artifact.custom_properties, noted or {})
            (outputs[key],) = self.store.put_artifacts([artifact])
        events = [(mlmd_pb2.Event.INPUT, reads or {}), (mlmd_pb2.Event.OUTPUT, outputs)]
        for event_type, ids in events:
            for key, artifact_id in ids.items():
                event = mlmd_pb2.Event(
                    type=event_type, artifact_id=artifact_id, execution_id=number
                )
                event.path.steps.add(key=key)
                event.path.steps.add(index=0)
                self.store.put_events([event])
        return outputs

    def complete(self, run: str, version: str, fingerprint: str) -> dict[str, int]:
        """A run from data to a pushed version; its artifacts."""
        data = self.node(
            run, "XrayExampleGen", makes={"examples": "Examples"},
            properties={
                "fingerprint": fingerprint, "code": "c0de", "sources": '{"nih": {"folder": "/x"}}',
            },
        )  # fmt: skip
        model = self.node(
            run, "Trainer", reads=data, makes={"model": "Model"},
            properties={"custom_config": '{"code": "7ra1n", "settings": {}}'},
        )  # fmt: skip
        evaluation = self.node(
            run, "Evaluator", reads=data | model, makes={"evaluation": "ModelEvaluation"}
        )
        blessing = self.node(
            run, "ModelGate", reads=model | evaluation, makes={"blessing": "ModelBlessing"},
            noted={"blessed": 1},
        )  # fmt: skip
        served = self.folder.serving / version
        served.mkdir(parents=True)
        pushed = self.node(
            run, "Pusher", reads=model | blessing, makes={"pushed_model": "PushedModel"},
            noted={
                "pushed": 1, "pushed_version": version, "pushed_destination": str(served),
                "label": "stable",
            },
        )  # fmt: skip
        return data | model | evaluation | blessing | pushed


def _fill(properties: Any, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        kind = "int_value" if isinstance(value, int) else "string_value"
        setattr(properties[name], kind, value)


@dataclasses.dataclass(frozen=True)
class Runs:
    """A folder of runs, and how it was recorded."""

    root: Path
    recorder: Recorder
    first: Mapping[str, int]
    second: Mapping[str, int]

    def cxr(self, command: str, *arguments: object) -> str:
        """What a command prints."""
        given = ["runs", command, *map(str, arguments), "--root", str(self.root)]
        result = CliRunner().invoke(cli, given, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    def json(self, command: str, *arguments: object) -> Any:
        """The same as JSON."""
        return json.loads(self.cxr(command, *arguments, "--json"))

    @property
    def history(self) -> History:
        """Of its pipeline."""
        (found,) = histories(self.recorder.folder)
        return found


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runs:
    """Complete, complete on other data, killed in the Trainer, failed in the Trainer."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    root = tmp_path / "runs"
    recorder = Recorder(RunFolder(root / "nih"))
    first = recorder.complete("2026-01-01T10:00:00", "100", "first-data")
    second = recorder.complete("2026-01-02T10:00:00", "200", "second-data")
    data = {"examples": second["examples"]}
    for day, state, said in ((3, STATES.RUNNING, ""), (4, STATES.FAILED, "the disk is full")):
        run = f"2026-01-0{day}T10:00:00"
        recorder.node(run, "XrayExampleGen", STATES.CACHED, again=data)
        recorder.node(run, "Trainer", state, reads=data, properties={ERROR: said} if said else {})
    half_done = root / "nih/artifacts/Trainer/model/12"
    half_done.mkdir()
    (half_done / "half").write_bytes(b"y" * 500)
    return Runs(root, recorder, first, second)


def test_runs_are_listed_with_how_they_ended(runs: Runs) -> None:
    found = runs.json("list")
    assert [(one["run"], one["state"], one["node"]) for one in found] == [
        ("nih/4", "failed", "Trainer"),
        ("nih/3", "killed", "Trainer"),
        ("nih/2", "complete", ""),
        ("nih/1", "complete", ""),
    ]
    assert [(one["cached"], one["executed"]) for one in found] == [(1, 0), (1, 0), (0, 5), (0, 5)]
    assert [(one["verdict"], one["version"]) for one in found[2:]] == [
        ("blessed", "200"),
        ("blessed", "100"),
    ]
    table = runs.cxr("list", "nih")
    assert "✕ killed" in table
    assert "at Trainer" in table


def test_a_run_at_work_is_not_a_killed_one(runs: Runs) -> None:
    history = runs.history
    killed = history.runs[2]
    assert killed.state(None) == "killed"
    assert killed.state(killed.started / 1000 - 1) == "running"
    # That which runs now was started later.
    assert killed.state(killed.started / 1000 + 60) == "killed"


def test_a_run_shows_its_nodes_and_why_one_failed(runs: Runs) -> None:
    shown = runs.json("show", "nih")
    assert shown["run"] == "nih/4"
    nodes = {node["node"]: node for node in shown["nodes"]}
    assert nodes["XrayExampleGen"]["state"] == "cached"
    assert nodes["Trainer"]["error"] == "the disk is full"
    assert nodes["Pusher"]["state"] == "not reached"
    assert "Trainer: the disk is full" in runs.cxr("show", "nih")
    assert {node["state"] for node in runs.json("show", "nih/1")["nodes"]} == {"complete"}
    killed = {node["node"]: node["state"] for node in runs.json("show", "nih/3")["nodes"]}
    assert killed["Trainer"] == "killed"


@pytest.mark.parametrize("what", ["nih/1", "100", "folder"])
def test_a_model_is_traced_to_its_data_and_code(runs: Runs, what: str) -> None:
    if what == "folder":
        what = str(runs.root / "nih/serving/cxr/100")
    found = runs.json("lineage", what)
    assert found["model"]["id"] == runs.first["model"]
    assert found["fingerprint"] == "first-data"
    assert [step["node"] for step in found["made_by"]] == ["Trainer", "XrayExampleGen"]
    assert [step["code"] for step in found["made_by"]] == ["7ra1n", "c0de"]
    assert [step["node"] for step in found["used_by"]] == ["Evaluator", "ModelGate", "Pusher"]
    assert found["blessed"] is True
    assert [one["version"] for one in found["pushed"]] == ["100"]
    assert "ModelGate, settings" in runs.cxr("lineage", what)
    chart = runs.cxr("lineage", what, "--mermaid")
    assert "n1 -- examples --> n2" in chart
    assert 'data[("data first-data")] --> n1' in chart


def test_what_is_not_there_is_missed_by_name(runs: Runs) -> None:
    for command, what in (("show", "nih/9"), ("lineage", "999"), ("show", "both")):
        with pytest.raises(InputError, match=what):
            runs.cxr(command, what)
    with pytest.raises(InputError, match="did not get as far as the Trainer"):
        runs.cxr("lineage", "nih/4")


class TestCollection:
    def test_what_is_served_and_what_is_new_stays(self, runs: Runs) -> None:
        found = runs.json("gc", "nih", "--keep", 1)
        assert not found["deleted"]
        # Version 100 is still in the serving folder.
        assert found["kept_runs"] == [1, 2, 3, 4]
        assert [item["why"] for item in found["items"]] == ["killed"]
        assert "Would be deleted: 1 folders, 500 B" in runs.cxr("gc", "nih", "--keep", 1)
        assert (runs.root / "nih/artifacts/Trainer/model/12/half").exists()

    def test_what_nobody_needs_goes_and_is_never_trusted_again(self, runs: Runs) -> None:
        (runs.root / "nih/serving/cxr/100").rmdir()
        found = runs.json("gc", "nih", "--keep", 1, "--delete")
        assert found["kept_runs"] == [2, 3, 4]
        assert found["bytes"] == 5 * 1000 + 500
        artifacts = runs.history.artifacts
        states = [
            {artifacts[one].state for one in ids.values()} for ids in (runs.first, runs.second)
        ]
        assert states == [{"DELETED"}, {"LIVE"}]
        for ids, there in ((runs.first, False), (runs.second, True)):
            assert all(Path(artifacts[one].uri).exists() == there for one in ids.values())
        assert not list((runs.root / "nih/artifacts").glob(".*"))
        assert runs.json("gc", "nih", "--keep", 1)["items"] == []
        assert len(runs.json("list")) == 4

    def test_a_collection_that_was_killed_is_finished_by_the_next(self, runs: Runs) -> None:
        aside = runs.root / "nih/artifacts/.removing-1-0"
        aside.mkdir()
        (aside / "file").write_bytes(b"z" * 10)
        found = runs.json("gc", "nih", "--delete")
        assert {item["why"] for item in found["items"]} == {"killed", "interrupted"}
        assert not aside.exists()

    def test_trainings_are_given_up_after_some_days(self, runs: Runs, tmp_path: Path) -> None:
        for name, age in (("old", 8 * 24 * 3600), ("new", 0)):
            state = tmp_path / "cache/cxr/unfinished" / name / "head.state"
            state.parent.mkdir(parents=True)
            state.touch()
            for path in (state, state.parent):
                modified = path.stat().st_mtime - age
                os.utime(path, (modified, modified))
        found = runs.json("gc", "nih")
        gone = [Path(item["path"]).name for item in found["items"] if item["why"] == "abandoned"]
        assert gone == ["old"]

    def test_not_while_a_run_is_at_work(self, runs: Runs) -> None:
        from tests.pipeline.test_run_folder import WORKER

        with subprocess.Popen(
            [sys.executable, "-c", WORKER, str(runs.root / "nih")],
            stdout=subprocess.PIPE,
            text=True,
        ) as worker:
            assert worker.stdout is not None
            worker.stdout.readline()
            with pytest.raises(InputError, match="another cxr is at work"):
                runs.cxr("gc", "nih", "--delete")
            worker.kill()

    def test_what_is_in_a_store_is_left_to_the_store(self, runs: Runs) -> None:
        note = runs.root / "nih/metadata.json"
        note.write_text(Known(store="s3://bucket/nih").model_dump_json())
        with pytest.raises(InputError, match=r"artifacts are in s3://bucket/nih: .* deleted there"):
            runs.cxr("gc", "nih", "--delete")
        assert (runs.root / "nih/artifacts/Trainer/model/12/half").exists()

    def test_a_node_that_ends_while_it_is_waited_for_keeps_what_it_wrote(
        self, runs: Runs, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The lock is had when the run lets go of it; by then its Trainer has published."""
        store, model = runs.recorder.store, runs.root / "nih/artifacts/Trainer/model/12"
        alone = RunFolder.alone

        @contextlib.contextmanager
        def after_the_run(folder: RunFolder) -> Iterator[None]:
            (execution,) = store.get_executions_by_id([12])
            execution.last_known_state = STATES.COMPLETE
            store.put_executions([execution])
            type_id = store.put_artifact_type(mlmd_pb2.ArtifactType(name="Model"))
            (made,) = store.put_artifacts(
                [mlmd_pb2.Artifact(type_id=type_id, uri=str(model), state=mlmd_pb2.Artifact.LIVE)]
            )
            event = mlmd_pb2.Event(type=mlmd_pb2.Event.OUTPUT, artifact_id=made, execution_id=12)
            event.path.steps.add(key="model")
            event.path.steps.add(index=0)
            store.put_events([event])
            with alone(folder):
                yield

        assert runs.json("gc", "nih")["items"] != []
        monkeypatch.setattr(RunFolder, "alone", after_the_run)
        assert runs.json("gc", "nih", "--delete")["items"] == []
        assert (model / "half").exists()

    def test_what_a_killed_executor_was_told_goes_with_what_it_wrote(self, runs: Runs) -> None:
        artifacts = runs.root / "nih/artifacts"
        told = artifacts / "Trainer/.system/executor_execution/12"
        (told / ".temp").mkdir(parents=True)
        (told / ".temp" / "file").write_bytes(b"w" * 20)
        other = told.with_name("99")
        other.mkdir()
        found = runs.json("gc", "nih", "--delete")
        assert [item["path"] for item in found["items"]] == [
            str(artifacts / "Trainer/model/12"),
            str(told),
        ]
        assert (told.exists(), other.exists()) == (False, True)
        assert list(artifacts.rglob(".removing-*")) == []

    def test_what_was_put_aside_is_where_the_next_collection_looks(
        self, runs: Runs, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        told = runs.root / "nih/artifacts/Trainer/.system/executor_execution/12"
        told.mkdir(parents=True)
        with monkeypatch.context() as patch:
            # As if it were killed.
            patch.setattr(collection.shutil, "rmtree", lambda *_, **__: None)
            runs.cxr("gc", "nih", "--delete")
        assert not told.exists()
        found = runs.json("gc", "nih", "--delete")["items"]
        assert [item["why"] for item in found] == ["interrupted"] * 2
        assert sum(item["size"] for item in found) == 500
        assert runs.json("gc", "nih")["items"] == []

    def test_what_ml_metadata_was_told_of_is_deleted_by_the_next(
        self, runs: Runs, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (runs.root / "nih/serving/cxr/100").rmdir()
        with monkeypatch.context() as patch:
            patch.setattr(Path, "rename", Mock(side_effect=OSError("killed")))
            with pytest.raises(OSError, match="killed"):
                runs.cxr("gc", "nih", "--keep", 1, "--delete")
        left = [Path(runs.history.artifacts[one].uri) for one in runs.first.values()]
        assert all(path.exists() for path in left)
        found = runs.json("gc", "nih", "--keep", 1, "--delete")["items"]
        whys = {item["path"]: item["why"] for item in found}
        assert {whys[str(path)] for path in left} == {"interrupted"}
        assert not any(path.exists() for path in left)

    def test_files_may_go_while_they_are_counted(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for number in range(3):
            (tmp_path / f"{number}").mkdir()
            (tmp_path / f"{number}" / "file").write_bytes(b"x" * 10)
        (tmp_path / "link").symlink_to("nowhere")
        lstat = Path.lstat

        def vanishing(path: Path) -> os.stat_result:
            if path.parent.name == "1":
                path.unlink(missing_ok=True)
            return lstat(path)

        monkeypatch.setattr(Path, "lstat", vanishing)
        assert collection.size_of(tmp_path) == 20 + len("nowhere")
        assert collection.size_of(tmp_path / "gone") == 0


def test_a_run_in_a_store_shows_what_its_gate_and_its_reader_wrote(tmp_path: Path) -> None:
    recorder = Recorder(RunFolder(tmp_path / "runs/nih"), stores.memory())
    run = "2026-01-01T10:00:00"
    data = recorder.node(
        run, "XrayExampleGen", makes={"examples": "Examples", "report": "IngestReport"}
    )
    model = recorder.node(run, "Trainer", reads=data, makes={"model": "Model"})
    judged = recorder.node(run, "ModelGate", reads=model, makes={"judgement": "Judgement"})
    found = Runs(tmp_path / "runs", recorder, data, judged)
    # None of what they say is there.
    assert found.json("list")[0]["auc"] == {}
    assert found.json("lineage", "nih")["counts"] == {}

    judgement = samples.judgement(samples.scores({"nih": 60}))
    account = {"read": 50, "kept": 44, "splits": {"test": {"nih": {"images": 40}}}}
    artifacts = found.history.artifacts
    for one, name, text in (
        (judged["judgement"], FILE_NAME, judgement.model_dump_json()),
        (data["report"], "ingest.json", json.dumps(account)),
    ):
        assert artifacts[one].uri.startswith("ram://")
        with fileio.open(f"{artifacts[one].uri}/{name}", "w") as file:
            file.write(text)
    (auc,) = (
        one.findings[0].auc for one in judgement.splits["test"] if one.slice == {"dataset": "nih"}
    )
    assert auc is not None
    assert found.json("list")[0]["auc"] == {"nih": auc.estimate}
    counts = found.json("lineage", "nih")["counts"]
    assert counts == {"read": 50, "kept": 44, "test images": 40}


def test_it_starts_without_tfx() -> None:
    script = "import sys, pipeline.commands.runs; sys.exit('tfx' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
