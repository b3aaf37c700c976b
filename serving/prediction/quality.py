"""What the codes of the model's `quality` output mean, for people to read."""

from __future__ import annotations

from collections.abc import Iterable

WARNINGS = {
    "colour": "The image is coloured: a photograph or a screenshot, not a grey X-ray film.",
    "blank": "The image is blank, or next to it: there is no film to judge.",
    "inverted": "The image looks inverted: bone is dark where the model expects it bright.",
    "unlike_training": (
        "The image is unlike those that the model was trained on; its answer may be worth nothing."
    ),
}


def codes_in(text: str) -> tuple[str, ...]:
    """The codes in an output's text, which joins them by commas."""
    return tuple(code.strip() for code in text.split(",") if code.strip())


def sentences(codes: Iterable[str]) -> list[str]:
    """A sentence for each code; one of a newer model is told as it is."""
    return [WARNINGS.get(code, f"The model warns of this image: {code}.") for code in codes]
