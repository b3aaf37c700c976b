"""The report and the model card as Chromium draws them, without a network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from components.report import dashboard, model_card
from components.report.figures import Figures
from tests.browser import Tab, browser, needs_browser
from tests.components.report import samples

pytestmark = needs_browser

SLICES = (
    "[...document.querySelectorAll('table.sortable')]"
    ".find(table => table.tHead.textContent.includes('Slice'))"
)
COLUMN = f"[...({SLICES}).tBodies[0].rows].map(row => row.cells[1].textContent.trim())"


@pytest.fixture(scope="module")
def running() -> Iterator[Tab]:
    with browser() as tab:
        yield tab


@pytest.fixture(scope="module")
def figures() -> Figures:
    return samples.figures(with_last=True, etiologies=("bacteria", samples.MALICIOUS))


def show(tab: Tab, page: str, folder: Path) -> Tab:
    file = folder / "page.html"
    file.write_text(page, "utf-8")
    tab.open(file)
    return tab


@pytest.fixture
def tab(running: Tab, figures: Figures, tmp_path: Path) -> Iterator[Tab]:
    yield show(running, dashboard.render_html(figures, files={"tfma.html": "TFMA"}), tmp_path)
    assert not running.problems
    assert not running.requests
    assert not running.dialogs


def test_every_plot_draws_something(tab: Tab) -> None:
    drawn = tab.evaluate(
        "[...document.querySelectorAll('figure svg')].map("
        "svg => [svg.querySelectorAll('path').length, svg.getBoundingClientRect().width])"
    )
    assert len(drawn) >= 6
    assert all(paths > 5 and width > 100 for paths, width in drawn)


def test_a_table_sorts_either_way_by_its_heading(tab: Tab) -> None:
    tab.evaluate(f"({SLICES}).closest('details').open = true")
    press = f"({SLICES}).tHead.rows[0].cells[1].querySelector('button').click()"
    tab.evaluate(press)
    rising = [int(count.replace(",", "")) for count in tab.evaluate(COLUMN)]
    assert rising == sorted(rising)
    assert len(set(rising)) > 1
    tab.evaluate(press)
    assert [int(count.replace(",", "")) for count in tab.evaluate(COLUMN)] == rising[::-1]


def test_numbers_open_by_the_keyboard(tab: Tab) -> None:
    tab.evaluate("document.querySelector('figure details summary').focus()")
    tab.press("Enter")
    tab.wait_for("document.querySelector('figure details').open")


def test_malicious_names_do_nothing(tab: Tab) -> None:
    assert tab.evaluate("document.title") == "pediatric: refused"
    assert tab.evaluate("document.querySelectorAll('img').length") == 0
    assert samples.MALICIOUS in tab.evaluate("document.body.textContent")


def test_dark_is_dark(tab: Tab, figures: Figures, tmp_path: Path) -> None:
    def brightness(scheme: str) -> float:
        tab.prefer(scheme)
        colour = tab.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(int(part) for part in colour.strip("rgb()").split(",")[:3]) / 3

    assert brightness("dark") < 80 < 200 < brightness("light")


def test_the_model_card(running: Tab, figures: Figures, tmp_path: Path) -> None:
    card = show(running, model_card.render_html(figures), tmp_path)
    assert card.evaluate("document.querySelectorAll('img').length") == 0
    assert "not a diagnostic device" in card.evaluate("document.body.innerText")
    assert not card.problems
    assert not card.requests
