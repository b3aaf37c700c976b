"""The page as Chromium draws it, without a network."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.example_gen.record import PATHOLOGIES
from components.report.notebook import as_iframe
from tests.browser import Tab, browser, needs_browser
from tests.components.report.tfma.evaluations import HOSTILE, OF_ONE_CLASS

pytestmark = needs_browser

# Elements in the page and in all the shadow trees within.
ALL = """
window.all = (selector, root = document) => [
  ...root.querySelectorAll(selector),
  ...[...root.querySelectorAll('*')].flatMap(
    one => one.shadowRoot ? all(selector, one.shadowRoot) : [])];
window.table = section => all('tfma-metrics-table table', section)[0]
  ?? all('google-chart', section).map(one => one.shadowRoot.querySelector('table')).find(Boolean);
window.cells = section => [...table(section).tBodies[0].rows].map(
  row => [...row.cells].map(cell => cell.innerText.trim()));
window.headings = section => [...table(section).tHead.rows[0].cells].map(
  cell => cell.innerText.trim());
window.test = document.querySelector('#section-1');
window.findings = document.querySelector('#section-2');
true
"""
PLOTS = (
    "tfma-calibration-plot",
    "tfma-residual-plot",
    "tfma-prediction-distribution",
    "tfma-precision-recall-curve",
    "tfma-roc-curve",
    "tfma-accuracy-charts",
    "tfma-gain-chart",
)


@pytest.fixture(scope="module")
def running() -> Iterator[Tab]:
    with browser() as tab:
        yield tab


@pytest.fixture
def tab(running: Tab, dashboard: str, tmp_path: Path) -> Tab:
    page = tmp_path / "tfma.html"
    page.write_text(dashboard, "utf-8")
    running.open(page)
    running.evaluate(ALL)
    running.wait_for("!!table(test) && !!table(findings)")
    running.wait_for(f"{marks('tfma-gain-chart')} > 0")
    return running


@pytest.fixture(autouse=True)
def nothing_is_amiss(running: Tab) -> Iterator[None]:
    """Whatever a test does: no error, no request, and no untrusted text that runs."""
    yield
    assert running.problems == []
    assert running.requests == []
    assert running.dialogs == []


def marks(plot: str) -> str:
    """An expression: how many things a plot draws."""
    return (
        f"all('{plot}', test)"
        ".flatMap(one => all('[clip-path] > g:nth-child(2) > *', one.shadowRoot))"
        ".filter(one => one.getAttribute('d') !== '').length"
    )


def curve(plot: str) -> str:
    """An expression: the lines that a plot draws."""
    paths = f"all('path', all('{plot}', test)[0].shadowRoot)"
    return f"{paths}.map(one => one.getAttribute('d')).join('|')"


def test_every_plot_draws_something(tab: Tab) -> None:
    drawn = {plot: tab.evaluate(marks(plot)) for plot in PLOTS}
    assert all(number >= 5 for number in drawn.values()), drawn


def test_the_overview_has_a_bar_for_each_slice(tab: Tab) -> None:
    assert (
        tab.evaluate("all('rect[data-row]', all('tfma-slice-overview', test)[0].shadowRoot).length")
        == 11
    )


def test_a_table_is_sorted_by_a_click_and_what_is_not_defined_comes_last(tab: Tab) -> None:
    headings = tab.evaluate("headings(test)")
    column = headings.index("probability/auc")
    for direction in ("ascending", "descending"):
        tab.evaluate(f"table(test).tHead.rows[0].cells[{column}].firstChild.click()")
        rows = tab.evaluate("cells(test)")
        assert rows[-1][0] == f"etiology {OF_ONE_CLASS}"
        assert rows[-1][column] == "not defined"
        values = [float(row[column]) for row in rows[:-1]]
        assert values == sorted(values, reverse=direction == "descending")
        said = f"table(test).tHead.rows[0].cells[{column}].ariaSort"
        assert tab.evaluate(said) == direction


def test_a_row_is_chosen_with_the_keyboard(tab: Tab) -> None:
    tab.evaluate("table(test).tBodies[0].rows[1].focus()")
    tab.press("Enter")
    chosen = "[...table(test).tBodies[0].rows].map(row => row.ariaSelected === 'true')"
    assert tab.evaluate(chosen).index(True) == 1
    tab.press("Enter")
    assert True not in tab.evaluate(chosen)


def test_another_slice_is_chosen_with_the_keyboard(tab: Tab) -> None:
    roc = curve("tfma-roc-curve")
    before = tab.evaluate(roc)
    tab.evaluate("test.querySelector('select').focus()")
    tab.press("ArrowDown")
    tab.wait_for("all('tfma-plot', test)[0].heading === 'Plot for dataset nih'")
    tab.wait_for(f"{roc} !== {before!r}")


def test_a_slice_of_one_class_has_no_false_curves(tab: Tab) -> None:
    choose = f"""(() => {{
      const menu = test.querySelector('select');
      menu.value = 'etiology {OF_ONE_CLASS}';
      menu.dispatchEvent(new Event('change'));
    }})()"""
    tab.evaluate(choose)
    tab.wait_for("test.querySelector('[role=status]').innerText.includes('of one class')")
    tab.wait_for("all('tfma-nb-plot', test)[0].data.confusionMatrixAtThresholds === undefined")
    shown = "all('#flat-view-container .title', test).map(one => one.textContent)"
    tab.wait_for(f"{shown}.length === 3")
    assert tab.evaluate(shown) == ["Calibration Plot", "Residual Plot", "Prediction Distribution"]
    assert tab.evaluate(marks("tfma-calibration-plot")) > 0


def test_the_histogram_is_drawn_and_its_bars_are_found(tab: Tab) -> None:
    tab.evaluate("void (all('tfma-graph-data-filter', test)[0].chartType = 1)")
    bars = "all('[clip-path] rect', all('tfma-metrics-histogram', test)[0].shadowRoot)"
    tab.wait_for(f"{bars}.some(one => one.getAttribute('height') > 0)")


def test_every_finding_is_chosen_at_first(tab: Tab) -> None:
    tab.wait_for("table(findings).tHead.rows[0].cells.length > 28")
    headings = tab.evaluate("headings(findings)")
    assert {f"probability/{name}/auc" for name in PATHOLOGIES} <= set(headings)


def test_hostile_names_are_text_wherever_they_stand(tab: Tab) -> None:
    for value in HOSTILE:
        name = f"etiology {value}"
        assert name in [row[0] for row in tab.evaluate("cells(test)")]
        choose = f"""(() => {{
          const menu = test.querySelector('select');
          menu.value = {name!r};
          menu.dispatchEvent(new Event('change'));
        }})()"""
        tab.evaluate(choose)
        tab.wait_for(f"all('tfma-plot', test)[0].heading === {'Plot for ' + name!r}")
    hostile = "all('img[src], [onerror], [onload], tfma-int64').map(one => one.outerHTML)"
    assert tab.evaluate(hostile) == []
    assert tab.evaluate("all('script').length") == 5  # three scripts and the data of two sections


def draw_table(tab: Tab, cells: list[Any]) -> Any:
    """The tags of a table's cells by the stand-in, and what they say."""
    return tab.evaluate(f"""(() => {{
      const place = document.body.appendChild(document.createElement('div'));
      const rows = [['name', 'cell'], ...{cells!r}.map(one => ['row', {{f: one, v: 1}}])];
      const charts = google.visualization;
      new charts.Table(place).draw(charts.arrayToDataTable(rows), {{allowHtml: true}});
      return [...place.querySelectorAll('tbody td:last-child')].map(
        cell => [cell.firstElementChild?.localName ?? '', cell.textContent]);
    }})()""")


def test_a_cell_is_an_element_of_tfmas_or_text(tab: Tab) -> None:
    good = "<tfma-bounded-value value=1 lower-bound=0 upper-bound=2></tfma-bounded-value>"
    bad = [
        *HOSTILE[:3],
        f"{good}<img src=x onerror=alert(1)>",
        "<tfma-int64 onclick=alert(1)></tfma-int64>",
        "<tfma-int64><img src=x onerror=alert(1)></tfma-int64>",
        "<tfma-plot></tfma-plot>",
        "<tfma-int64",
    ]
    drawn = draw_table(tab, [good, *bad])
    assert drawn[0][0] == "tfma-bounded-value"
    assert drawn[1:] == [["", text] for text in bad]


def test_pages_of_a_long_table(tab: Tab) -> None:
    tab.evaluate("""(() => {
      const rows = [['name', 'cell']];
      for (let index = 0; index < 45; index++) rows.push([`row ${index}`, index]);
      const place = document.body.appendChild(document.createElement('div'));
      place.id = 'long';
      const charts = google.visualization;
      new charts.Table(place).draw(charts.arrayToDataTable(rows), {page: 'enable', pageSize: 20});
    })()""")
    names = "[...document.querySelectorAll('#long tbody tr')].map(row => row.cells[0].textContent)"
    sizes = []
    for page in itertools.count(1):
        sizes.append(len(tab.evaluate(names)))
        if tab.evaluate(f"document.querySelectorAll('#long nav button').length === {page}"):
            break
        tab.evaluate(f"document.querySelectorAll('#long nav button')[{page}].click()")
    assert sizes == [20, 20, 5]


def test_it_works_in_a_notebooks_frame(running: Tab, dashboard: str, tmp_path: Path) -> None:
    page = tmp_path / "notebook.html"
    page.write_text(f"<!doctype html><meta charset=utf-8>{as_iframe(dashboard)}", "utf-8")
    running.open(page)
    running.evaluate(ALL, in_frame=True)
    running.wait_for("!!table(test) && !!table(findings)", in_frame=True)
    running.wait_for(f"{marks('tfma-roc-curve')} > 5", in_frame=True)
    # Apart from the notebook.
    assert running.evaluate("origin", in_frame=True) == "null"
    assert running.evaluate("document.querySelector('iframe').contentDocument") is None
