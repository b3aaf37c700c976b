"""A plot as a piece of a page: text stays text, colours are the page's, and it can be read out."""

from __future__ import annotations

import io
import re
import warnings
from typing import Any
from xml.etree import ElementTree

import markupsafe
import matplotlib
from matplotlib.figure import Figure

from components.report.plots.palette import VARIABLES

_SVG = "http://www.w3.org/2000/svg"
_XLINK = "http://www.w3.org/1999/xlink"
_HREF = f"{{{_XLINK}}}href"
_POINTS_PER_INCH = 72

# The salt makes ids, and so the page, the same from run to run.
_RC: Any = {"svg.fonttype": "none", "svg.hashsalt": "report"}


def to_svg(figure: Figure, *, name: str, title: str, description: str) -> markupsafe.Markup:
    """An `<svg>` element for a page that defines the colours of `palette.VARIABLES`.

    Args:
      figure: drawn in the colours of `palette`.
      name: tells its ids from those of other plots on the page: letters, digits and hyphens.
      title: of the plot, for screen readers.
      description: what it shows, likewise.
    """
    root = ElementTree.fromstring(_draw(figure))
    for metadata in root.findall(f"{{{_SVG}}}metadata"):
        root.remove(metadata)
    for element in root.iter():
        _adopt(element, name)
    for attribute in ("width", "height", "version"):
        root.attrib.pop(attribute, None)
    width = figure.get_figwidth() * _POINTS_PER_INCH
    root.set("style", f"max-width: {width * 4 / 3:.0f}px")
    root.set("role", "img")
    root.set("aria-labelledby", f"{name}-title {name}-desc")
    for number, (tag, text) in enumerate((("title", title), ("desc", description))):
        element = ElementTree.Element(f"{{{_SVG}}}{tag}", {"id": f"{name}-{tag}"})
        element.text = text
        root.insert(number, element)
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", _XLINK)
    return markupsafe.Markup(ElementTree.tostring(root, encoding="unicode"))


def _draw(figure: Figure) -> str:
    buffer = io.StringIO()
    with matplotlib.rc_context(_RC), warnings.catch_warnings():
        # The browser has the glyphs that the font of the layout lacks.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(buffer, format="svg", facecolor="none", metadata={"Date": None})
    return buffer.getvalue()


def _adopt(element: ElementTree.Element, name: str) -> None:
    """Make an element's ids the plot's own, and its colours and font the page's."""
    if "id" in element.attrib:
        element.set("id", f"{name}-{element.get('id')}")
    for key, value in element.attrib.items():
        if key == _HREF:
            element.set(key, re.sub("^#", f"#{name}-", value))
        elif "url(#" in value:
            element.set(key, value.replace("url(#", f"url(#{name}-"))
    style = element.get("style")
    if style:
        for colour, variable in VARIABLES.items():
            style = style.replace(colour, f"var({variable})")
        # The page's font, in the plot's size and weight.
        element.set("style", re.sub(r"font-family: [^;]+(; )?", "", style))
