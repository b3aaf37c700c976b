"""The page's own files, against what they repeat."""

import re
from importlib import resources

import cv2
import numpy as np
import pytest

STATIC = resources.files("serving.page").joinpath("static")


def test_the_colours_are_those_of_the_reports() -> None:
    table = "".join(re.findall(r'"([0-9a-f]+)"', STATIC.joinpath("plasma.js").read_text()))
    plasma = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[None], cv2.COLORMAP_PLASMA)[0]

    assert table == plasma[:, ::-1].tobytes().hex()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    ("text", "background", "least"),
    [
        ("ink", "paper", 7.0),
        ("ink", "card", 7.0),
        ("ink", "track", 4.5),
        ("soft", "paper", 4.5),
        ("soft", "card", 4.5),
        ("wrong", "card", 4.5),
        ("on-notice", "notice", 7.0),
        ("on-care", "care", 4.5),
        ("edge", "card", 3.0),  # borders of what can be used: WCAG 1.4.11
    ],
)
def test_text_stands_out_from_its_background(
    scheme: str, text: str, background: str, least: float
) -> None:
    style = STATIC.joinpath("page.css").read_text()
    light, dark = re.findall(r":root \{(.*?)\}", style, re.DOTALL)[:2]
    colours = dict(re.findall(r"--([a-z-]+): #([0-9a-f]{6})", light if scheme == "light" else dark))

    brighter, darker = sorted((luminance(colours[text]), luminance(colours[background])))[::-1]
    assert (brighter + 0.05) / (darker + 0.05) >= least


def luminance(colour: str) -> float:
    """Relative, by WCAG 2.2."""
    levels = np.array([int(colour[at : at + 2], 16) for at in (0, 2, 4)]) / 255
    linear = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])
