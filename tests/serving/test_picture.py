import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from serving.picture import Meaning, draw
from serving.prediction import Explanation, Finding, FindingsPrediction, Prediction

DISCLAIMER = "Not a diagnostic device."
FILM = cv2.imencode(".png", np.full((60, 80), 128, np.uint8))[1].tobytes()
RED = np.zeros((60, 80, 3), np.uint8) + np.array([20, 20, 230], np.uint8)
OVERLAY = cv2.imencode(".png", RED)[1].tobytes()
MEANING = Meaning("cxr version 1", DISCLAIMER, {"PNEUMONIA": 0.4}, {"PNEUMONIA": 6.0})
UNKNOWN = Meaning("cxr version 1", DISCLAIMER, {}, {})


def picture(answer: object, meaning: Meaning = MEANING, explained: str = "") -> NDArray[np.uint8]:
    explanation = Explanation(answer, np.ones((3, 4), np.float32), OVERLAY, explained)
    png = draw(explanation, FILM, meaning)
    pixels = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    assert pixels.shape[1] == 1800
    return pixels


def answer(probability: float = 0.9, **others: object) -> Prediction:
    decision = int(probability >= 0.4)
    label = ("NORMAL", "PNEUMONIA")[decision]
    return Prediction("a$b.png", probability, decision, label, **others)


def test_film_and_overlay_lie_side_by_side_at_their_own_aspect_ratio() -> None:
    pixels = picture(answer())
    red = (pixels == [20, 20, 230]).all(2)
    rows, columns = np.nonzero(red)
    assert columns.min() > pixels.shape[1] // 3
    assert np.ptp(columns) / np.ptp(rows) == pytest.approx(80 / 60, rel=0.02)
    grey = (pixels == 128).all(2)
    assert grey.sum() == pytest.approx(red.sum(), rel=0.02)


def test_the_colour_bar_has_the_colours_of_heat() -> None:
    pixels = picture(answer())
    bar = pixels[:, 1600:]
    for level in (0.1, 0.5, 0.9):
        colour = cv2.applyColorMap(np.uint8([[level * 255]]), cv2.COLORMAP_PLASMA)[0, 0]
        assert (np.abs(bar.astype(int) - colour).max(2) <= 4).any()


@pytest.mark.parametrize("meaning", [MEANING, UNKNOWN])
def test_says_other_things_of_other_answers(meaning: Meaning) -> None:
    plain, negative, warned = (
        picture(a, meaning) for a in (answer(), answer(0.1), answer(quality=("inverted",)))
    )
    assert warned.shape[0] > plain.shape[0]
    assert not np.array_equal(plain, negative)


def test_findings_have_a_bar_each() -> None:
    findings = [Finding("Mass", 0.9, 1), Finding("Edema", 0.1, 0)]
    thresholds = {"Mass": 0.5, "Edema": 0.5}
    meaning = Meaning("m", DISCLAIMER, thresholds, dict.fromkeys(thresholds, 6.0))
    prediction = FindingsPrediction("a.png", findings)
    several = picture(prediction, meaning, "Mass")
    assert several.shape[0] > picture(answer()).shape[0]
    # Without operating points there are no marks of them.
    assert not np.array_equal(several, picture(prediction, UNKNOWN, "Mass"))
