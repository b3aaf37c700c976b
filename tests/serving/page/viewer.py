"""The page in a browser: what a user does to it, and what can be seen."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from tests.browser import Tab
from tests.serving.tiny_model import encoded_image

IDLE = "!document.getElementById('status').classList.contains('busy')"


def opened(running: Tab, url: str) -> Iterator[Tab]:
    """The page at a URL, of which a test complains that has gone wrong or asked for others."""
    for heard in (running.problems, running.requests, running.dialogs):
        heard.clear()
    running.prefer("light")
    open_page(running, url)
    yield running
    assert not running.problems
    assert not running.dialogs
    assert running.requests
    assert {asked[: len(url)] for asked in running.requests} == {url}


def open_page(tab: Tab, url: str, **size: int) -> None:
    tab.open(url, **size)
    tab.wait_for(f"location.href === {json.dumps(url)}")
    tab.wait_for("document.getElementById('model').textContent.includes('version')")


def file_of(folder: Path, content: bytes, name: str = "film.png") -> Path:
    file = folder / name
    file.write_bytes(content)
    return file


def grey(folder: Path, level: int, name: str = "film.png") -> Path:
    return file_of(folder, encoded_image(level, Path(name).suffix), name)


def ask(tab: Tab, *files: Path) -> None:
    tab.choose("#files", *files)
    wait_for_answer(tab, files[0].name)


def wait_for_answer(tab: Tab, name: str) -> None:
    tab.wait_for(f"document.getElementById('name').textContent.startsWith({json.dumps(name)})")
    tab.wait_for(IDLE)


def text(tab: Tab, name: str) -> str:
    """What can be read in an element; empty while it is hidden."""
    read = "it => it.checkVisibility() ? it.innerText.trim() : ''"
    return tab.evaluate(f"({read})(document.getElementById('{name}'))")


def colour_of_the_film(tab: Tab, across: float = 0.5, down: float = 0.5) -> npt.NDArray[Any]:
    """What is seen at a place, in shares of width and height: RGB."""
    tab.evaluate("document.querySelector('.stage').scrollIntoView({block: 'center'})")
    x, y = tab.evaluate(
        "(box => [box.x, box.y])(document.querySelector('.stage').getBoundingClientRect())"
    )
    width, height = size_of(tab, "film")
    seen = cv2.imdecode(np.frombuffer(tab.screenshot(), np.uint8), cv2.IMREAD_COLOR)
    return seen[round(y + down * height), round(x + across * width), ::-1].astype(float)


def size_of(tab: Tab, name: str) -> tuple[float, float]:
    box = f"document.getElementById('{name}').getBoundingClientRect()"
    return tuple(tab.evaluate(f"(box => [box.width, box.height])({box})"))


def slide_to(tab: Tab, percent: int) -> None:
    tab.evaluate(
        f"(slider => {{ slider.value = {percent}; slider.dispatchEvent(new Event('input')); }})"
        "(document.getElementById('opacity'))"
    )
