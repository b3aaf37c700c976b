"""Views, ages, sexes and numbers, as tables and headers write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.example_gen.datasets.metadata import parse_age, parse_count, parse_sex, parse_view
from components.example_gen.quality import faults
from components.example_gen.settings import Quality
from tests.examples import image_facts, xray_file


@pytest.mark.parametrize(
    ("text", "view"),
    [
        ("", None),
        ("FRONTAL", None),
        ("Chest frontal", None),
        ("PA", "PA"),
        ("pa erect", "PA"),
        ("Posteroanterior", "PA"),
        ("postero-anterior", "PA"),
        ("AP", "AP"),
        ("A.P.", "AP"),
        ("AP SUPINE", "AP"),
        ("AP_PORTABLE", "AP"),
        ("portable ap", "AP"),
        ("AP ERECT", "AP"),
        ("AP AXIAL", "AP"),
        ("AP semi-erect", "AP"),
        ("LATERAL", "LATERAL"),
        ("lat", "LATERAL"),
        ("XTABLE LATERAL", "LATERAL"),
        ("LEFT LATERAL", "LL"),
        ("LL", "LL"),
        ("Right Lateral", "RL"),
        ("LLD", "LLD"),
        ("lao", "LAO"),
        ("PA LATERAL", "PA LATERAL"),
        ("AP/PA", "AP/PA"),
        ("Oblique 2", "OBLIQUE 2"),
        ("supine", "SUPINE"),
    ],
)
def test_views(text: str, view: str | None) -> None:
    assert parse_view(text) == view


@pytest.mark.parametrize("text", ["LATERAL", "LAT", "LEFT LATERAL", "R LAT", "LL", "LLO"])
def test_quality_knows_lateral_views_for_such(text: str) -> None:
    file = xray_file("1", view_position=parse_view(text))
    assert "lateral view" in set(faults(file, image_facts(), Quality()))


# --- Ages, sexes, numbers --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "years"),
    [
        ("57", 57),
        ("57.0", 57),
        ("57.", 57),
        ("057Y", 57),
        ("060y", 60),
        ("60 Y", 60),
        ("007M", 0),
        ("023M", 1),
        ("104W", 2),
        ("800D", 2),
        ("0", 0),
        ("120", 120),
        ("121", None),
        ("412", None),
        ("412Y", None),
        ("-1", None),
        ("57.5", None),
        ("Y", None),
        ("", None),
        ("²", None),
        ("1e1", None),
        ("unknown", None),
        ("9" * 5_000, None),
        ("0" * 5_000, None),
    ],
)
def test_ages(text: str, years: int | None) -> None:
    assert parse_age(text) == years


@pytest.mark.parametrize(
    ("text", "sex"),
    [("F", "F"), ("f", "F"), ("Female", "F"), ("M", "M"), ("MALE", "M")]
    + [(text, None) for text in ("", "U", "O", "unknown", "0", "FM", "Fe male")],
)
def test_sexes(text: str, sex: str | None) -> None:
    assert parse_sex(text) == sex


@pytest.mark.parametrize(
    ("text", "count"),
    [("0", 0), ("012", 12), ("3.0", 3)]
    + [(text, None) for text in ("", "-1", "²", "3.5", "x", "99999999999999999999", "9" * 5_000)],
)
def test_counts(text: str, count: int | None) -> None:
    assert parse_count(text) == count


@given(st.text(max_size=20))
def test_no_text_is_an_error(text: str) -> None:
    age = parse_age(text)
    assert age is None or 0 <= age <= 120
    assert parse_sex(text) in ("F", "M", None)
    assert (parse_count(text) or 0) >= 0
