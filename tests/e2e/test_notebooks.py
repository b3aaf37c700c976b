"""The notebooks, from top to bottom, on a finished run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.e2e.conftest import Workspace

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
# How many pictures, and how many tables and pages, each shows at least.
SHOWN = {
    "pediatric": (6, 6),
    "nih": (7, 7),
    "data_validation": (0, 6),
    "review_evaluation": (2, 6),
    "serving": (1, 0),
    "customise": (0, 3),
}


def test_every_notebook_is_expected_to_show_something() -> None:
    assert {path.stem for path in NOTEBOOKS} == set(SHOWN)


@pytest.mark.slow
@pytest.mark.usefixtures("first_run")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(
    path: Path, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXR_RUN", str(workspace.folder / "runs/demo"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(workspace.folder / "cache"))
    notebook = nbformat.read(path, as_version=4)
    here = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=900, kernel_name="python3", resources=here).execute()
    shown: list[Any] = [o for cell in notebook.cells for o in cell.get("outputs", [])]
    kinds = [kind for output in shown for kind in output.get("data", {})]
    pictures, tables = SHOWN[path.stem]
    assert kinds.count("image/png") >= pictures
    assert kinds.count("text/html") >= tables
    # What libraries log is nothing for a reader.
    assert not [output.text for output in shown if output.get("name") == "stderr"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_saved_without_outputs(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in code)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_says_what_it_is_not(path: Path) -> None:
    first = nbformat.read(path, as_version=4).cells[0].source
    assert "Research and education only" in first
