"""What the page is made of; `test_in_browser` sees what becomes of it."""

import html.parser
import json
from typing import Any

import pytest

from components.data_gate.facets import script_hash
from components.disclaimer import DISCLAIMER
from components.report.tfma.dashboard import render_dashboard
from tests.components.report.tfma.evaluations import HOSTILE


class Page(html.parser.HTMLParser):
    """Elements, text and scripts of a page."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.scripts: list[str] = []
        self.data: list[Any] = []
        self.text = ""
        self._inside = ""
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        attributes = dict(attrs)
        self.elements.append((tag, attributes))
        self._inside = attributes.get("type", "script") if tag == "script" else tag
        self.text += " "

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts.append(data)
        elif self._inside == "application/json":
            self.data.append(json.loads(data))
        elif self._inside != "style":
            self.text += data


@pytest.fixture(scope="module")
def page(dashboard: str) -> Page:
    return Page(dashboard)


def test_only_the_pages_own_scripts_may_run_and_nothing_may_be_fetched(page: Page) -> None:
    (policy,) = (
        attributes["content"] for tag, attributes in page.elements if "http-equiv" in attributes
    )
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"].split() == [f"'{script_hash(one)}'" for one in page.scripts]
    assert "connect-src" not in rules  # so that of default-src holds
    assert len(page.scripts) == 3
    for _, attributes in page.elements:
        assert not {"src", "srcset"} & set(attributes)
        assert attributes.get("href", "#").startswith("#")


def test_strings_from_the_data_are_only_text(page: Page) -> None:
    tags = [tag for tag, _ in page.elements]
    assert not {"img", "svg", "b", "tfma-int64"} & set(tags)
    assert not [name for _, names in page.elements for name in names if name.startswith("on")]
    for value in (*HOSTILE, "Test <b>images</b>"):
        assert value in page.text


def test_each_evaluation_has_its_components_data_and_figures(page: Page) -> None:
    tags = [tag for tag, _ in page.elements]
    assert tags.count("section") == tags.count("tfma-nb-slicing-metrics") == len(page.data) == 2
    assert tags.count("tfma-nb-plot") == 2
    # Of the slice; and of the finding, where there are several.
    assert tags.count("select") == 3
    assert [len(one["slices"]) for one in page.data] == [11, 2]
    assert page.data[0]["outputs"] == ["probability", "decision"]
    assert page.data[1]["outputs"] == ["probability"]
    assert "not defined" in page.text
    assert DISCLAIMER in page.text


def test_it_is_small(dashboard: str) -> None:
    assert len(dashboard.encode()) < 1_500_000


def test_it_is_the_same_each_time(binary: str) -> None:
    assert render_dashboard({"Test": binary}) == render_dashboard({"Test": binary})
