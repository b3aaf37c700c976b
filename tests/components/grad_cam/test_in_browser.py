"""The page as Chromium draws it, from a file and without a network."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.grad_cam.cases import Rule
from components.grad_cam.report import ExplainedCase, Report, in_one_file
from tests.browser import Tab, browser, needs_browser
from tests.components.grad_cam import pages

pytestmark = needs_browser

VISIBLE = (
    "[...document.querySelectorAll('.case')].filter(x => !x.hidden).map(x => +x.dataset.number)"
)
STAGES = "[...document.querySelectorAll('.pane .stage')].map(x => x.style.transform)"


def a_case(number: int) -> ExplainedCase:
    label = number % 2
    return pages.explained(
        number,
        pages.MALICIOUS if number == 1 else f"film {number}.png",
        label=label,
        probability=number / 10,
        peak=0.01 * (7 * number % 10),
        rule=Rule.ALL,
        features={"sex": "FM"[number // 5]},
        details={"findings": ("Effusion", "Mass") if number == 3 else ("Mass",) * label},
        boxes=((0.1, 0.1, 0.5, 0.5),) if number == 3 else (),
    )


@pytest.fixture(scope="module")
def report() -> Report:
    return pages.a_report(
        *(a_case(number) for number in range(1, 10)),
        slices=[pages.performance(90), pages.performance(41, sex="F")],
    )


@pytest.fixture(scope="module")
def page(report: Report, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pages.write(report, tmp_path_factory.mktemp("page"))


@pytest.fixture(scope="module")
def running() -> Iterator[Tab]:
    with browser() as tab:
        yield tab


@pytest.fixture
def tab(running: Tab, page: Path) -> Iterator[Tab]:
    running.open(page)
    yield running
    assert not running.problems
    assert not running.requests
    assert not running.dialogs


def choose(tab: Tab, name: str, value: Any) -> list[int]:
    """Sets a control as a reader does, and returns the cases that are then shown."""
    tab.evaluate(
        f"(() => {{ const x = document.forms[0].elements[{json.dumps(name)}];"
        f" x.value = {json.dumps(value)};"
        " x.dispatchEvent(new Event('input', {bubbles: true})); })()"
    )
    return list(tab.evaluate(VISIBLE))


def click(tab: Tab, selector: str) -> None:
    tab.evaluate(f"document.querySelector({json.dumps(selector)}).click()")


def key(tab: Tab, name: str) -> None:
    tab.evaluate(
        "document.activeElement.dispatchEvent("
        f"new KeyboardEvent('keydown', {{key: {json.dumps(name)}, bubbles: true}}))"
    )


def test_pictures_load_from_the_folder(tab: Tab) -> None:
    tab.wait_for("document.querySelector('.heat').naturalWidth > 0")
    assert tab.evaluate("document.querySelector('.film').naturalWidth") == 120
    assert tab.evaluate("document.querySelector('.film').loading") == "lazy"


def test_all_cases_are_shown_at_first(tab: Tab) -> None:
    assert tab.evaluate(VISIBLE) == list(range(1, 10))
    assert tab.evaluate("document.querySelector('.count').textContent") == "9 of 9 cases"


def test_filter_by_outcome(tab: Tab) -> None:
    click(tab, "input[value='true negative']")
    click(tab, "input[value='true positive']")

    # Below 0.4 nothing is decided positive; odd films are.
    assert tab.evaluate(VISIBLE) == [1, 3, 4, 6, 8]


def test_filter_by_probability(tab: Tab) -> None:
    assert choose(tab, "from", "0.35") == [4, 5, 6, 7, 8, 9]
    assert choose(tab, "to", "0.6") == [4, 5, 6]
    assert choose(tab, "from", "") == [1, 2, 3, 4, 5, 6]


def test_filter_by_slice_says_how_the_model_does_on_all_of_it(tab: Tab) -> None:
    assert choose(tab, "sex", "F") == [1, 2, 3, 4]
    assert "all 41 such films" in tab.evaluate("document.querySelector('.said').textContent")
    assert choose(tab, "sex", "M") == [5, 6, 7, 8, 9]
    assert tab.evaluate("document.querySelector('.said').hidden")


def test_filter_by_finding_looks_at_all_of_a_films_findings(tab: Tab) -> None:
    assert choose(tab, "findings", "Effusion") == [3]
    assert choose(tab, "findings", "Mass") == [1, 3, 5, 7, 9]


def test_where_nothing_matches_one_click_shows_all(tab: Tab) -> None:
    choose(tab, "from", "0.95")
    assert not tab.evaluate("document.querySelector('.none').hidden")

    click(tab, ".none button")

    tab.wait_for(f"{VISIBLE}.length === 9")


def test_order(tab: Tab) -> None:
    assert choose(tab, "order", "-probability") == list(range(9, 0, -1))
    assert choose(tab, "order", "distance")[0] == 4
    assert choose(tab, "order", "-peak")[0] == 7
    assert choose(tab, "order", "number") == list(range(1, 10))


def test_opacity_changes_heat_and_colour_bar(tab: Tab) -> None:
    shown = "+getComputedStyle(document.querySelector('.heat')).opacity"
    assert tab.evaluate(shown) == 0.6

    tab.evaluate(
        "(() => { const x = document.querySelector('.looks [name=opacity]'); x.value = 0.25;"
        " x.dispatchEvent(new Event('input', {bubbles: true})); })()"
    )

    assert tab.evaluate(shown) == 0.25
    assert tab.evaluate(
        "+getComputedStyle(document.querySelector('.bar'), '::before').opacity"
    ) == (0.25)
    assert tab.evaluate("document.querySelector('.viewer output').textContent") == "25 %"


def test_boxes_can_be_hidden(tab: Tab) -> None:
    shown = "getComputedStyle(document.querySelector('.boxes')).display"
    assert tab.evaluate(shown) != "none"
    click(tab, "[name=boxes]")
    assert tab.evaluate(shown) == "none"


def test_film_and_heat_zoom_and_move_together(tab: Tab) -> None:
    click(tab, ".case[data-number='3'] .picture")
    assert tab.evaluate("document.querySelector('.viewer').open")
    assert "film 3.png" in tab.evaluate("document.querySelector('.caption').textContent")
    before = tab.evaluate(STAGES)

    click(tab, "[data-do=in]")
    key(tab, "+")
    zoomed = tab.evaluate(STAGES)
    key(tab, "ArrowRight")
    moved = tab.evaluate(STAGES)

    assert len(before) == 2
    assert before[0] == before[1] != zoomed[0] == zoomed[1] != moved[0] == moved[1]
    assert tab.evaluate("document.querySelector('.zoom').textContent") == "225 %"
    assert tab.evaluate("document.querySelectorAll('.pane .heat').length") == 1


def test_the_wheel_zooms_to_where_it_points(tab: Tab) -> None:
    click(tab, ".case[data-number='2'] .picture")
    # What of the film is below a point of the second pane, as fractions.
    below = (
        "(() => { const pane = document.querySelectorAll('.pane')[1];"
        " const p = pane.getBoundingClientRect();"
        " const s = pane.firstElementChild.getBoundingClientRect();"
        " return [(p.left + p.width * .6 - s.left) / s.width,"
        " (p.top + p.height * .55 - s.top) / s.height]; })()"
    )
    before = tab.evaluate(below)

    tab.evaluate(
        "(() => { const pane = document.querySelectorAll('.pane')[1];"
        " const p = pane.getBoundingClientRect(); pane.dispatchEvent(new WheelEvent('wheel',"
        " {deltaY: -400, clientX: p.left + p.width * .6, clientY: p.top + p.height * .55,"
        " bubbles: true, cancelable: true})); })()"
    )

    assert tab.evaluate("document.querySelector('.zoom').textContent") == "272 %"
    assert tab.evaluate(below) == pytest.approx(before, abs=0.01)


def test_next_and_previous_keep_to_what_is_shown(tab: Tab) -> None:
    choose(tab, "from", "0.65")
    click(tab, ".case[data-number='7'] .picture")
    key(tab, "n")
    assert "film 8.png" in tab.evaluate("document.querySelector('.caption').textContent")
    key(tab, "p")
    key(tab, "p")
    assert "film 7.png" in tab.evaluate("document.querySelector('.caption').textContent")

    click(tab, "[data-do=close]")

    assert not tab.evaluate("document.querySelector('.viewer').open")
    tab.wait_for("document.activeElement.closest('.case')?.dataset.number === '7'")


def test_the_keyboard_alone_opens_the_viewer(tab: Tab) -> None:
    tab.evaluate("document.querySelector('.picture').focus()")
    tab.press("Enter")

    tab.wait_for("document.querySelector('.viewer').open")
    assert tab.evaluate("document.activeElement.className") == "panes"


@pytest.mark.parametrize("width", [360, 1300])
def test_nothing_is_wider_than_the_window(tab: Tab, page: Path, width: int) -> None:
    tab.open(page, width=width, height=800)

    assert tab.evaluate("document.documentElement.scrollWidth") <= width


def test_in_one_file_it_needs_no_folder(running: Tab, page: Path, tmp_path: Path) -> None:
    moved = tmp_path / "alone.html"
    moved.write_text(in_one_file(page), "utf-8")

    running.open(moved)

    running.wait_for("document.querySelector('.heat').naturalWidth > 0")
    assert running.evaluate("document.querySelector('.film').naturalWidth") == 120
    assert not running.problems
