"""Who is at work in a folder of runs, and where its runs are recorded."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from components.errors import InputError
from pipeline.metadata import MetadataSettings
from pipeline.run_folder import Known, RunFolder, RunInProgressError

# Works in the folder until it is killed.
WORKER = """
import sys, time
from pathlib import Path
from pipeline.run_folder import RunFolder
with RunFolder(Path(sys.argv[1])).alone():
    print("at work", flush=True)
    time.sleep(600)
"""


def test_one_run_at_a_time_and_a_killed_one_leaves_nothing_behind(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "nih")
    assert folder.running_since() is None
    with subprocess.Popen(
        [sys.executable, "-c", WORKER, str(folder.root)], stdout=subprocess.PIPE, text=True
    ) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "at work\n"
        since = folder.running_since()
        assert since is not None
        with (
            pytest.raises(RunInProgressError, match=rf"another cxr .*: process {worker.pid} on "),
            folder.alone(),
        ):
            pass
        worker.send_signal(signal.SIGKILL)
    assert folder.running_since() is None
    with folder.alone():
        pass


def test_a_folder_knows_where_its_runs_are_recorded(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert folder.known().metadata.store == "sqlite"
    shared = MetadataSettings(
        store="mysql", host="db", database="cxr", user="ann", password_env="SECRET"
    )
    folder.note(shared, "cxr-nih")
    folder.note(shared, "cxr-both")
    assert folder.known().metadata == shared
    assert folder.known().pipelines == ["cxr-both", "cxr-nih"]
    # Elsewhere artifacts would be counted from 1 again.
    with pytest.raises(InputError, match=r"mysql://db:3306/cxr, not in SQLite"):
        folder.note(MetadataSettings(), "cxr-nih")
    # Whoever connects, it is the same place.
    folder.note(shared.model_copy(update={"user": "bob"}), "cxr-nih")
    (tmp_path / "metadata.json").write_text("{")
    with pytest.raises(InputError, match=r"metadata\.json: does not say where"):
        folder.known()


def test_a_store_that_is_refused_is_not_noted(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    owners: list[str] = []

    def refuse(store: str, owner: str) -> None:
        # Killed here, the next run calls itself the same.
        owners.append(folder.known().owner)
        assert owner == owners[0]
        raise InputError(f"{store} is another's")

    for _ in range(2):
        with pytest.raises(InputError, match="s3://b/x is another's"):
            folder.note(MetadataSettings(), "cxr-nih", "s3://b/x", refuse)
    assert folder.known() == Known(owner=owners[0])
    folder.note(MetadataSettings(), "cxr-nih", "s3://b/y", lambda store, owner: None)
    assert (folder.known().store, folder.known().owner) == ("s3://b/y", owners[0])
