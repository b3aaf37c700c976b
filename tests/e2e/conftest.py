"""Whole runs, made once for a test session."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

# Small images and few of them: what is tested is the pipeline, not the classifier.
SMALL = (
    "--set=data.synthesize.images={pediatric: 140, nih: 260}",
    "--set=data.synthesize.seed=3",
    "--set=transform.image_size=64",
    "--set=trainer.epochs=6",
    "--set=trainer.weights=none",
    "--set=grad_cam.cases=4",
    # Whether so small a model is any good is left to chance, and is not the question here.
    "--set=evaluator.min_auc={pediatric: 0.01, nih: 0.01}",
)


@dataclasses.dataclass(frozen=True)
class Finished:
    """A `cxr` command that ended."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        """All that a user saw."""
        return self.out + self.err


@dataclasses.dataclass(frozen=True)
class Workspace:
    """A folder in which a user works, with caches of its own."""

    folder: Path

    def cxr(self, *arguments: str, **environment: str) -> Finished:
        """Run the command as a user does."""
        ended = subprocess.run(
            [str(Path(sys.executable).parent / "cxr"), *arguments],
            cwd=self.folder,
            env=os.environ
            | {"XDG_CACHE_HOME": str(self.folder / "cache"), "COLUMNS": "100"}
            | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=1500,
        )
        return Finished(ended.returncode, ended.stdout, ended.stderr)

    def summary(self, experiment: str = "demo") -> dict[str, Any]:
        """The summary of an experiment's last run."""
        return json.loads((self.folder / "runs" / experiment / "summary.json").read_text())


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Where the demo runs."""
    return Workspace(tmp_path_factory.mktemp("workspace"))


@pytest.fixture(scope="session")
def first_run(workspace: Workspace) -> Finished:
    """The demo, run for the first time."""
    finished = workspace.cxr("run", "demo", *SMALL)
    assert finished.code == 0, finished.text
    return finished
