import html.parser
from typing import Any

from components.report.notebook import Page, as_iframe

DOCUMENT = "<!doctype html><p title=\"a & 'b'\">&lt;1 &amp; é</p>"


class Frames(html.parser.HTMLParser):
    def __init__(self, source: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.found.append((tag, dict(attrs)))


def test_a_frame_holds_the_page_as_it_is() -> None:
    ((tag, attributes),) = Frames(as_iframe(DOCUMENT, 300)).found
    assert tag == "iframe"
    assert attributes["srcdoc"] == DOCUMENT
    assert attributes["sandbox"] == "allow-scripts"
    assert "height: 300px" in attributes["style"]


def test_a_notebook_shows_a_page_as_a_frame() -> None:
    assert Page(DOCUMENT, height=300)._repr_html_() == as_iframe(DOCUMENT, 300)
