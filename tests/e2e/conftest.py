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

IMAGES = {"pediatric": 140, "nih": 260}
# Reasons in the summary of what `_spoil` puts among the images.
BAD = {
    "file is not an image": 1,
    "image data is damaged or cut short": 1,
    "file is empty": 1,
    "not an image by its name": 1,
    "row of the table whose image is not on disk": 1,
}

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
    "--set=evaluator.min_images_per_class=1",
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
    """A folder with both datasets in `data/`, some of their files spoilt."""
    workspace = Workspace(tmp_path_factory.mktemp("workspace"))
    for dataset, images in IMAGES.items():
        made = workspace.cxr(
            "data", "synthesize", "--dataset", dataset, "--images", str(images),
            "--out", "data", "--seed", "3",
        )  # fmt: skip
        assert made.code == 0, made.text
    _spoil(workspace.folder / "data")
    return workspace


@pytest.fixture(scope="session")
def first_run(workspace: Workspace) -> Finished:
    """The demo on that data, run for the first time."""
    finished = workspace.cxr("run", "demo", "--data-root=data", *SMALL)
    assert finished.code == 0, finished.text
    return finished


def _spoil(data: Path) -> None:
    """Add bad files to the pediatric set, and take an image from under a row of the NIH table."""
    normal = data / "chest_xray/train/NORMAL"
    sound = next(iter(sorted(normal.iterdir()))).read_bytes()
    (normal / "IM-9001-0001.jpeg").write_bytes(sound[: len(sound) // 2])
    (normal / "IM-9002-0001.jpeg").write_text("this is no image")
    (normal / "IM-9003-0001.jpeg").write_bytes(b"")
    (normal / "Thumbs.db").write_bytes(b"\x00")
    table = (data / "nih/Data_Entry_2017_v2020.csv").read_text().splitlines()
    no_finding = next(row for row in table if ",No Finding," in row)
    (data / "nih/images" / no_finding.split(",")[0]).unlink()
