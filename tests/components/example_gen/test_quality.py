"""Each limit from both sides, and what is not held against an image."""

from typing import Any

import pytest

from components.example_gen.quality import faults
from components.example_gen.record import XrayFile
from components.example_gen.settings import Quality
from tests.examples import image_facts, xray_file

LIMITS = Quality(min_side=64, min_contrast=0.03, max_colour=0.08, min_polarity=-0.18)


def reasons(file: XrayFile | None = None, limits: Quality = LIMITS, **facts: Any) -> list[str]:
    return list(faults(file or xray_file(), image_facts(**facts), limits))


def test_nothing_is_held_against_a_sound_film_without_metadata() -> None:
    file = xray_file()
    assert file.modality is file.body_part is file.view_position is None
    assert reasons(file) == []


@pytest.mark.parametrize(
    ("fact", "good", "bad", "reason"),
    [
        ("height", 64, 63, "image is tiny"),
        ("width", 64, 63, "image is tiny"),
        ("std", 0.03, 0.0299, "image is blank"),
        ("std", 0.03, 0.0, "image is blank"),
        ("colour", 0.08, 0.0801, "colour photograph, not a film"),
        ("polarity", -0.18, -0.1801, "negative of a film, or no chest"),
        ("polarity", 0.0, -1.0, "negative of a film, or no chest"),
    ],
)
def test_limits_from_both_sides(fact: str, good: float, bad: float, reason: str) -> None:
    assert reasons(**{fact: good}) == []
    assert reasons(**{fact: bad}) == [reason]


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("modality", "DX", None),
        ("modality", "CR", None),
        ("modality", "CT", "modality is not that of a plain film"),
        ("modality", "US", "modality is not that of a plain film"),
        ("body_part", "CHEST", None),
        ("body_part", "CHEST PORTABLE", None),
        ("body_part", "THORAX", None),
        ("body_part", "LUNGS", None),
        ("body_part", "RIBCAGE", "another part of the body"),
        ("body_part", "PELVIS", "another part of the body"),
        ("view_position", "PA", None),
        ("view_position", "AP", None),
        ("view_position", "LL", "lateral view"),
        ("view_position", "RL", "lateral view"),
        ("view_position", "LATERAL", "lateral view"),
        ("view_position", "XX", "view is not frontal"),
    ],
)
def test_metadata(field: str, value: str, reason: str | None) -> None:
    assert reasons(xray_file(**{field: value})) == ([reason] if reason else [])


def test_limits_are_those_of_the_settings() -> None:
    film = xray_file(modality="CT", body_part="RIBCAGE", view_position="LL")
    lenient = Quality(
        min_side=1,
        min_contrast=0,
        max_colour=1,
        min_polarity=-1,
        modalities=("CT",),
        body_parts=("RIB",),
        views=("LL",),
    )
    facts = {"height": 1, "width": 1, "std": 0.0, "colour": 1.0, "polarity": -1.0}
    assert reasons(film, lenient, **facts) == []
    assert len(reasons(film, LIMITS, **facts)) == 7


def test_the_plainest_reason_comes_first() -> None:
    film = xray_file(modality="CT", body_part="HAND", view_position="LL")
    found = reasons(film, height=9, std=0.0, colour=0.9, polarity=-0.9)
    assert found == [
        "image is tiny",
        "image is blank",
        "colour photograph, not a film",
        "modality is not that of a plain film",
        "another part of the body",
        "lateral view",
        "negative of a film, or no chest",
    ]


def test_only_what_is_known_of_the_image_is_asked_for_the_mode() -> None:
    assert reasons(limits=Quality(mode="report_only"), height=9) == ["image is tiny"]
