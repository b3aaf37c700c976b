"""A plot as a piece of a page."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from matplotlib.figure import Figure

from components.report.plots.palette import INK, SERIES
from components.report.plots.style import plain, styled
from components.report.plots.svg import to_svg

SVG = "{http://www.w3.org/2000/svg}"


@styled
def draw(label: str) -> Figure:
    figure = Figure()
    axis = figure.subplots()
    axis.plot([0, 1], [0, 1], color=SERIES[1], marker="o")
    axis.text(0.5, 0.5, plain(label), color=INK)
    return figure


def svg(label: str = "x", name: str = "one", title: str = "A plot") -> ElementTree.Element:
    return ElementTree.fromstring(
        to_svg(draw(label), name=name, title=title, description="What it shows")
    )


def test_it_can_be_read_out() -> None:
    root = svg(title='<script>alert("x")</script>')

    assert root.get("role") == "img"
    named = [one for part in root.get("aria-labelledby", "").split() for one in root.iter()
             if one.get("id") == part]  # fmt: skip
    assert [(one.tag, one.text) for one in named] == [
        (f"{SVG}title", '<script>alert("x")</script>'),
        (f"{SVG}desc", "What it shows"),
    ]


def test_text_stays_text_in_the_font_of_the_page() -> None:
    root = svg("Opacity, left $x^2$")

    texts = {one.text: one for one in root.iter(f"{SVG}text")}
    assert "Opacity, left $x^2$" in texts
    assert all("DejaVu" not in one.get("style", "") for one in texts.values())
    assert all("font-size" in one.get("style", "") for one in texts.values())


def test_colours_are_those_of_the_page() -> None:
    text = str(to_svg(draw("x"), name="one", title="t", description="d"))

    assert "var(--series-2)" in text
    assert "var(--ink)" in text
    assert SERIES[1] not in text


def test_ids_are_the_plots_own_and_references_follow() -> None:
    first, second = (ElementTree.tostring(svg(name=name), "unicode") for name in ("one", "two"))

    ids = [set(re.findall(r'id="([^"]+)"', text)) for text in (first, second)]
    assert not ids[0] & ids[1]
    for text, own in zip((first, second), ids, strict=True):
        used = set(re.findall(r"url\(#([^)]+)\)", text) + re.findall(r'href="#([^"]+)"', text))
        assert used
        assert used <= own


def test_the_same_plot_is_the_same_text() -> None:
    first, second = (to_svg(draw("x"), name="a", title="t", description="d") for _ in range(2))
    assert first == second


def test_names_become_one_short_line() -> None:
    assert plain("a\n\x00b\t c") == "a b c"
    assert plain("x" * 50, 10) == "x" * 9 + "…"
