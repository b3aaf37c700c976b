"""The page as Chromium shows it, over the tiny models."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from components.disclaimer import DISCLAIMER
from serving import dicom_image
from serving.prediction.quality import WARNINGS
from tests.browser import Tab, needs_browser
from tests.components.example_gen import dicom_samples
from tests.serving.page.page_server import PageServer
from tests.serving.page.viewer import (
    ask,
    colour_of_the_film,
    file_of,
    grey,
    open_page,
    opened,
    size_of,
    slide_to,
    text,
    wait_for_answer,
)
from tests.serving.tiny_model import (
    STEEPNESS,
    THRESHOLD,
    UNDECODABLE_PNG,
    encoded_image,
    expected_probability,
)

pytestmark = needs_browser


@pytest.fixture
def tab(chromium: Tab, server: PageServer) -> Iterator[Tab]:
    yield from opened(chromium, server.url)


@pytest.fixture
def multi_label_tab(chromium: Tab, multi_label_server: PageServer) -> Iterator[Tab]:
    yield from opened(chromium, multi_label_server.url)


def overlaid(level: int, opacity: float) -> np.ndarray:
    """A uniform film with its map, by the rules of the reports."""
    table = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[None], cv2.COLORMAP_PLASMA)[0]
    alpha = opacity * level / 255
    return (1 - alpha) * level + alpha * table[level, ::-1].astype(float)


# --- Answers ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("level", "suffix"), [(200, ".png"), (90, ".jpeg")])
def test_a_film_is_answered_with_the_models_own_numbers(
    tab: Tab, tmp_path: Path, level: int, suffix: str
) -> None:
    ask(tab, grey(tmp_path, level, f"film{suffix}"))

    probability = expected_probability(level)
    is_positive = probability >= THRESHOLD
    label = "PNEUMONIA" if is_positive else "NORMAL"
    assert text(tab, "probability") == f"{probability:.3f}"
    assert text(tab, "verdict") == label
    side = "At or above" if is_positive else "Below"
    assert text(tab, "meaning") == f"{side} the operating point {THRESHOLD:.3f}: {label}."
    assert text(tab, "by") == "Model: cxr, version 1."
    assert text(tab, "intended") == "tests"
    logits = level / 255 * STEEPNESS
    assert (
        text(tab, "caption") == f"Evidence for PNEUMONIA: hottest upper left, {logits:.1f} logits."
    )
    assert text(tab, "full") == f"≥ {STEEPNESS:.0f}"
    assert not text(tab, "care")
    mark, threshold = tab.evaluate(
        "['.mark', '.threshold'].map(x => parseFloat(document.querySelector(x).style.left))"
    )
    assert (mark >= threshold) == is_positive


def test_the_film_keeps_its_aspect_ratio(tab: Tab, tmp_path: Path) -> None:
    ask(tab, grey(tmp_path, 90))

    for name in ("film", "map"):
        width, height = size_of(tab, name)
        assert width > 100
        assert width / height == pytest.approx(32 / 24, abs=0.01)


def test_a_film_that_exif_turns_is_shown_upright_as_the_model_sees_it(
    tab: Tab, tmp_path: Path
) -> None:
    film = np.zeros((24, 32), np.uint8)
    film[:, :8] = 255
    jpeg = cv2.imencode(".jpeg", film)[1].tobytes()
    # Orientation (0x0112) 6: rotate by 90 degrees to display.
    exif = b"Exif\0\0II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, 6, 0, 0)
    turned = jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[2:]
    ask(tab, file_of(tmp_path, turned, "turned.jpeg"))
    slide_to(tab, 0)

    assert colour_of_the_film(tab, 0.5, 0.1).min() > 200
    assert colour_of_the_film(tab, 0.1, 0.9).max() < 50


@pytest.mark.parametrize("level", [40, 200])
def test_the_map_lies_on_the_film_in_colours_that_are_never_stretched(
    tab: Tab, tmp_path: Path, level: int
) -> None:
    ask(tab, grey(tmp_path, level))

    assert text(tab, "percent") == "60 %"
    np.testing.assert_allclose(colour_of_the_film(tab), overlaid(level, 0.6), atol=3)


def test_the_slider_changes_what_is_seen(tab: Tab, tmp_path: Path) -> None:
    ask(tab, grey(tmp_path, 200))
    tab.evaluate("document.getElementById('opacity').focus()")
    before = colour_of_the_film(tab)
    for _ in range(8):
        tab.press("ArrowRight")

    assert text(tab, "percent") == "100 %"
    after = colour_of_the_film(tab)
    np.testing.assert_allclose(after, overlaid(200, 1.0), atol=3)
    assert np.abs(after - before).max() > 20
    slide_to(tab, 0)
    np.testing.assert_allclose(colour_of_the_film(tab), 200, atol=1)


def test_a_dicom_film_is_shown_and_answered(tab: Tab, tmp_path: Path) -> None:
    data = dicom_samples.dicom(dicom_samples.film(), 12)
    ask(tab, file_of(tmp_path, data, "no_suffix"))

    mean = float(np.mean(dicom_image.read_grey(data)))
    assert text(tab, "probability") == f"{expected_probability(mean):.3f}"
    width, height = size_of(tab, "film")
    assert width / height == pytest.approx(80 / 60, abs=0.01)


@pytest.mark.parametrize(
    ("level", "codes"), [(0, ["blank"]), (255, ["inverted", "unlike_training"])]
)
def test_warnings_about_the_image_are_said(
    tab: Tab, tmp_path: Path, level: int, codes: list[str]
) -> None:
    ask(tab, grey(tmp_path, level))

    assert all(WARNINGS[code] in text(tab, "warnings") for code in codes)
    assert text(tab, "warnings").count("\n") + 1 == len(codes)
    assert "Read it with care" in text(tab, "status")


def test_findings_are_sorted_by_margin_and_each_has_its_map(
    multi_label_tab: Tab, multi_label_server: PageServer, tmp_path: Path
) -> None:
    tab, answer = multi_label_tab, multi_label_server.answer

    def answer_with_different_maps(signature: str, image: bytes) -> dict[str, object]:
        row = dict(answer(signature, image))
        return row | {"heatmap": [[[0.0, logits]] for logits in (1.0, 2.0, 3.0)]}

    multi_label_server.answer = answer_with_different_maps
    ask(tab, grey(tmp_path, 128))

    names = tab.evaluate("[...document.querySelectorAll('.finding')].map(row => row.innerText)")
    assert [name.split()[0] for name in names] == ["Mass", "Effusion", "[b]Hernia"]
    present = tab.evaluate("document.querySelectorAll('.finding.present').length")
    assert present == 2
    assert text(tab, "caption") == "Evidence for Mass: hottest middle right, 2 logits."
    assert "2 of 3 findings" in text(tab, "status")
    tab.evaluate("document.querySelector('input[name=finding]').focus()")
    tab.press("ArrowDown")
    assert text(tab, "caption") == "Evidence for Effusion: hottest middle right, 1 logits."


def test_a_model_without_maps_says_so(tab: Tab, server: PageServer, tmp_path: Path) -> None:
    server.found = {key: value for key, value in server.found.items() if key != "explanation"}
    open_page(tab, server.url)
    ask(tab, grey(tmp_path, 200))

    assert server.asked == ["serving_default"]
    assert text(tab, "verdict") == "PNEUMONIA"
    assert text(tab, "caption") == "This model draws no heat map."
    assert not text(tab, "heat")


def test_how_the_operating_point_was_chosen_is_told(
    tab: Tab, server: PageServer, tmp_path: Path
) -> None:
    point = {
        "threshold": 0.4004,
        "chosen_by": "sensitivity 0.9 on validation",
        "sensitivity": 0.92,
        "specificity": None,
        "positives": 25,
        "negatives": 0,
        "as_asked": True,
    }
    server.found = {**server.found, "outputs": [{"name": "PNEUMONIA", "operating_point": point}]}
    server.version = 2
    server.answer = lambda *_: {"probability": 0.4001, "decision": 0, "label": "NORMAL"}
    ask(tab, grey(tmp_path, 100))

    assert text(tab, "probability") == "0.4001"
    assert text(tab, "meaning") == "Below the operating point 0.4004: NORMAL."
    assert text(tab, "chosen") == (
        "The operating point was chosen by sensitivity 0.9 on validation. On the validation films "
        "it found 23 of 25 with PNEUMONIA (sensitivity 0.920)."
    )


# --- Several films, and newer ones -----------------------------------------------------------


def test_several_films_are_answered_and_one_is_shown(tab: Tab, tmp_path: Path) -> None:
    files = [grey(tmp_path, 200, "a.png"), file_of(tmp_path, b"", "b"), grey(tmp_path, 10, "c.png")]
    ask(tab, *files)

    said = tab.evaluate("[...document.querySelectorAll('#strip .said')].map(x => x.textContent)")
    assert said == [
        f"PNEUMONIA {expected_probability(200):.3f}",
        "no answer",
        f"NORMAL {expected_probability(10):.3f}",
    ]
    assert text(tab, "verdict") == "PNEUMONIA"
    tab.evaluate("document.querySelectorAll('#strip button')[1].click()")
    assert text(tab, "reason").startswith("This file is empty.")
    assert not text(tab, "decision")
    tab.evaluate("document.querySelectorAll('#strip button')[2].click()")
    assert text(tab, "verdict") == "NORMAL"


def test_a_newer_film_takes_the_place_of_one_that_waits(
    tab: Tab, server: PageServer, tmp_path: Path
) -> None:
    server.hold.clear()
    tab.choose("#files", grey(tmp_path, 200, "older.png"))
    tab.wait_for("document.getElementById('status').textContent.includes('older.png')")
    while not server.asked:
        tab.evaluate("1")
    tab.drop(grey(tmp_path, 10, "newer.png"))
    tab.wait_for("document.getElementById('status').textContent.includes('newer.png')")
    while len(server.asked) < 2:
        tab.evaluate("1")
    server.hold.set()
    wait_for_answer(tab, "newer.png")

    assert text(tab, "verdict") == "NORMAL"
    assert "older" not in tab.evaluate("document.body.innerText")


def test_a_film_dropped_anywhere_is_taken(tab: Tab, tmp_path: Path) -> None:
    tab.drop(grey(tmp_path, 200), x=700, y=800)
    wait_for_answer(tab, "film.png")

    assert text(tab, "verdict") == "PNEUMONIA"


def test_a_pasted_film_is_taken(tab: Tab, tmp_path: Path) -> None:
    tab.evaluate(
        f"""(() => {{
          const bytes = Uint8Array.from({list(encoded_image(200))});
          const data = new DataTransfer();
          data.items.add(new File([bytes], "pasted.png", {{type: "image/png"}}));
          document.dispatchEvent(new ClipboardEvent("paste", {{clipboardData: data}}));
        }})()"""
    )
    wait_for_answer(tab, "pasted.png")

    assert text(tab, "verdict") == "PNEUMONIA"


def test_a_new_version_of_the_model_is_noticed(
    tab: Tab, server: PageServer, tmp_path: Path
) -> None:
    ask(tab, grey(tmp_path, 200))
    server.version = 2
    tab.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    tab.wait_for("!document.getElementById('old').hidden")

    assert text(tab, "model") == "Model cxr, version 2"
    assert text(tab, "versions") == "This is the answer of cxr, version 1."
    tab.evaluate("document.getElementById('renew').click()")
    tab.wait_for("document.getElementById('by').textContent === 'Model: cxr, version 2.'")
    assert not text(tab, "old")


def test_a_version_that_goes_between_two_questions_is_asked_for_anew(
    tab: Tab, server: PageServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions = iter([1])
    monkeypatch.setattr(
        server, "contract", lambda name: (next(versions, server.version), server.found)
    )
    server.version = 2
    ask(tab, grey(tmp_path, 200))

    assert text(tab, "by") == "Model: cxr, version 2."
    assert text(tab, "verdict") == "PNEUMONIA"
    assert len(tab.problems) == 1
    assert "404" in tab.problems.pop()


# --- What goes wrong -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"%PDF-1.7 ...", "This file is not a PNG, JPEG or DICOM file."),
        (b"", "This file is empty."),
        (encoded_image(200)[:41] + bytes(40), "This image is damaged or cut short."),
    ],
)
def test_a_bad_file_says_so(tab: Tab, tmp_path: Path, content: bytes, words: str) -> None:
    ask(tab, file_of(tmp_path, content))

    assert words in text(tab, "reason")
    assert not text(tab, "again")
    assert not text(tab, "decision")
    assert not tab.evaluate("document.getElementById('film').checkVisibility()")


@pytest.mark.parametrize("content", [bytes(128) + b"DICM" + b"spoilt" * 9, UNDECODABLE_PNG])
def test_what_the_server_cannot_open_is_said(tab: Tab, tmp_path: Path, content: bytes) -> None:
    ask(tab, file_of(tmp_path, content))

    assert "400" in tab.problems.pop()
    assert text(tab, "reason").startswith("This film cannot be shown: ")


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, "The model cannot use this image: Input size should match. Save it smaller"),
        (413, "The file is larger than the server takes."),
        (429, "The server is busy. Wait a moment, then ask again."),
        (503, "The model is not available now"),
        (504, "The model took too long."),
        (500, "The server failed. It says: Input size should match"),
    ],
)
def test_what_the_server_refuses_is_said_in_words(
    tab: Tab, server: PageServer, tmp_path: Path, status: int, words: str
) -> None:
    server.fault = (
        status,
        "Graph execution error:\n{{function_node __inference}} Input size should match "
        "[[{{node decode}}]] [Op:Call]",
    )
    ask(tab, grey(tmp_path, 200))

    assert words in text(tab, "reason")
    assert not text(tab, "decision")
    assert str(status) in tab.problems.pop()
    can_ask_again = bool(text(tab, "again"))
    assert can_ask_again == (status not in (400, 413))
    if can_ask_again:
        server.fault = None
        tab.evaluate("document.getElementById('again').click()")
        tab.wait_for("!document.getElementById('decision').hidden")
        assert text(tab, "verdict") == "PNEUMONIA"
        assert not text(tab, "problem")


def test_no_model_and_no_server_are_said_in_words(
    tab: Tab, server: PageServer, tmp_path: Path
) -> None:
    server.version = 0
    ask(tab, grey(tmp_path, 200))
    assert "The model is not available now" in text(tab, "reason")

    tab.evaluate("window.fetch = () => Promise.reject(new TypeError('Failed to fetch'))")
    tab.evaluate("document.getElementById('again').click()")
    tab.wait_for("document.getElementById('reason').textContent.includes('cannot be reached')")
    assert "503" in tab.problems.pop()


def test_a_malicious_name_does_nothing(tab: Tab, server: PageServer, tmp_path: Path) -> None:
    name = "<img src=x onerror=alert(1)>.png"
    server.found = {**server.found, "intended_use": name}
    server.version = 2
    ask(tab, grey(tmp_path, 200, name), grey(tmp_path, 10, "other.png"))

    assert text(tab, "name").startswith(name)
    assert text(tab, "intended") == name
    assert tab.evaluate("document.querySelector('img[src=x]')") is None


# --- For everybody ---------------------------------------------------------------------------


def test_everything_works_by_keyboard(tab: Tab, tmp_path: Path) -> None:
    def tab_to(selector: str) -> None:
        for _ in range(12):
            tab.press("Tab")
            if tab.evaluate(f"document.activeElement.matches({json.dumps(selector)})"):
                outline = "getComputedStyle(document.activeElement).outlineStyle"
                around = "getComputedStyle(document.getElementById('drop')).outlineStyle"
                assert "solid" in tab.evaluate(f"[{outline}, {around}]")
                return
        raise AssertionError(f"{selector} is never reached")

    tab_to("#files")
    tab.choose_by_key("Enter", grey(tmp_path, 200, "a.png"), grey(tmp_path, 10, "b.png"))
    wait_for_answer(tab, "a.png")
    tab_to("#strip li:nth-child(2) button")
    tab.press("Space")
    assert text(tab, "verdict") == "NORMAL"
    tab_to("#opacity")
    tab.press("ArrowLeft")
    assert text(tab, "percent") == "55 %"
    tab_to("summary")
    tab.press("Enter")
    assert tab.evaluate("document.getElementById('reading').open")


def test_assistive_technology_is_told_what_is_what(tab: Tab, tmp_path: Path) -> None:
    ask(tab, grey(tmp_path, 200), grey(tmp_path, 10, "b.png"))

    told = tab.accessible()
    roles = {role for role, _ in told}
    assert {"button", "slider", "image", "note", "status", "article"} <= roles
    acting = ("button", "slider", "image", "radio", "article", "DisclosureTriangle")
    assert all(name for role, name in told if role in acting)
    assert ("slider", "Heat map opacity") in told
    assert any(name.startswith("Heat map on the film. Evidence") for _, name in told)


def test_the_disclaimer_is_always_in_sight(tab: Tab, tmp_path: Path) -> None:
    ask(tab, grey(tmp_path, 200))
    tab.evaluate("window.scrollTo(0, document.body.scrollHeight)")

    notice = "document.querySelector('.notice')"
    assert tab.evaluate(f"{notice}.textContent") == DISCLAIMER
    assert tab.evaluate(f"{notice}.getBoundingClientRect().top") == 0
    assert tab.evaluate("window.scrollY") > 0


def test_nothing_is_wider_than_a_phone(
    multi_label_tab: Tab, multi_label_server: PageServer, tmp_path: Path
) -> None:
    open_page(multi_label_tab, multi_label_server.url, width=320, height=700)
    ask(multi_label_tab, grey(tmp_path, 128), grey(tmp_path, 10, "b.png"))

    assert multi_label_tab.evaluate("document.documentElement.scrollWidth") <= 320


def test_nothing_is_kept_in_the_browser(tab: Tab, tmp_path: Path) -> None:
    ask(tab, grey(tmp_path, 200))

    kept = "[document.cookie, localStorage.length, sessionStorage.length]"
    assert tab.evaluate(kept) == ["", 0, 0]
