"""The documentation's site builds, and says what the code says."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.results import Figures
from pipeline.results_page import table

ROOT = Path(__file__).parent.parent
PAGES = sorted(ROOT.glob("*.md")) + sorted((ROOT / "docs").rglob("*.md"))
_LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]+))?\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_CODE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("name", ["configuration", "commands"])
def test_the_reference_is_that_of_the_code(name: str) -> None:
    kept = (ROOT / "docs/reference" / f"{name}.md").read_text()
    # Click keeps what a command's help says from its first use in a process.
    code = f"from tools import reference; print(reference.{name}(), end='')"
    written = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert kept == written.stdout, "make docs writes it anew"


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    first = (tmp_path / "site/index.html").read_text()
    assert "Research and education only" in first
    # Nothing is fetched from elsewhere when a page is opened.
    assert not re.search(r'<(?:script|link)[^>]+(?:src|href)="https?:', first)


def test_the_table_of_results_is_that_of_the_measured_figures() -> None:
    folder = ROOT / "docs/results"
    measured = json.loads((folder / "training.json").read_text())
    figures = [Figures.model_validate(one) for one in measured]
    assert table(figures) in (folder / "training.md").read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    for path, anchor in _LINK.findall(_CODE.sub("", page.read_text())):
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name}: {path}"
        if anchor and target.suffix == ".md":
            assert anchor in _anchors(target), f"{page.name}: {path}#{anchor}"


def _anchors(page: Path) -> set[str]:
    """Of the headings, as both GitHub and MkDocs make them."""
    words = (
        re.sub(r"[^\w\s-]", "", heading).strip().lower()
        for heading in _HEADING.findall(page.read_text())
    )
    return {re.sub(r"\s", "-", one) for one in words}
