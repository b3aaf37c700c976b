"""The colours of plots: drawn as on a light page, and turned into the page's own in its SVG."""

from __future__ import annotations

INK = "#1d1f21"
SOFT = "#5d6166"
RULE = "#dcdad4"
CARD = "#ffffff"
TRACK = "#e7e5df"
WRONG = "#a3341c"
RIGHT = "#2c6150"
SERIES = ("#2b5c8a", "#b4591b", "#6a4c93", "#1f7a72")

# The page's name of each; `page.html.jinja` and `report.html.jinja` give them a value for light
# pages, dark ones and paper.
VARIABLES = {
    INK: "--ink",
    SOFT: "--soft",
    RULE: "--rule",
    CARD: "--card",
    TRACK: "--track",
    WRONG: "--wrong",
    RIGHT: "--right",
} | {colour: f"--series-{number}" for number, colour in enumerate(SERIES, start=1)}
