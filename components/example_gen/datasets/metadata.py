"""What a table or a header says of an image besides its findings."""

from __future__ import annotations

import re
from typing import NamedTuple

from components.example_gen.datasets.findings import Findings
from components.example_gen.datasets.listing import IgnoredValue
from components.example_gen.datasets.table import Row

_OLDEST = 120


class Metadata(NamedTuple):
    """What a record takes of a row besides its findings; None for what it lacks."""

    age_years: int | None
    sex: str | None
    view_position: str | None
    follow_up: int | None


def parse_metadata(
    row: Row, findings: Findings, source: str
) -> tuple[Metadata, list[IgnoredValue]]:
    """What a record takes of a row, and the values that make no sense."""
    metadata = Metadata(
        parse_age(row.age), parse_sex(row.sex), parse_view(row.view), parse_count(row.follow_up)
    )
    texts = {"age_years": row.age, "sex": row.sex, "follow_up": row.follow_up}
    ignored = [
        IgnoredValue(source, field, text)
        for field, text in texts.items()
        if text and getattr(metadata, field) is None
    ]
    ignored += [IgnoredValue(source, "findings", name) for name in findings.unknown]
    return metadata, ignored


def parse_age(text: str) -> int | None:
    """Whole years from `57`, `57.0`, `057Y` or `007M`; None for what is no age of a person."""
    match = re.fullmatch(r"(\d{1,6})(?:\.0*)?\s*([YMWD]?)", text.upper())
    if not match:
        return None
    years = int(match[1]) if match[2] in ("", "Y") else int(match[1]) // _PER_YEAR[match[2]]
    return years if years <= _OLDEST else None


def parse_count(text: str) -> int | None:
    """A whole number from `3` or `3.0`, as it comes from columns with gaps; or None."""
    match = re.fullmatch(r"(\d{1,6})(?:\.0*)?", text)
    return int(match[1]) if match else None


def parse_sex(text: str) -> str | None:
    """`F` or `M`, or None."""
    return {"f": "F", "female": "F", "m": "M", "male": "M"}.get(text.lower())


def parse_view(text: str) -> str | None:
    """`PA`, `AP` or a lateral view by its usual name; any other view in capitals, to be judged.

    A view that is merely frontal may be either, which is as if nothing were said.
    """
    words = re.findall(r"[A-Z]+", text.upper())
    name = "".join(word for word in words if word not in _POSTURES)
    if not name and "FRONTAL" in words:
        return None
    return _VIEWS.get(name, text.upper()) or None


# What is said of a view besides its direction.
_POSTURES = frozenset((
    "SUPINE", "PORTABLE", "MOBILE", "BEDSIDE", "ERECT", "UPRIGHT", "STANDING", "SITTING", "SEMI",
    "SEMIERECT", "SEMIUPRIGHT", "AXIAL", "FRONTAL", "CHEST", "VIEW", "PROJECTION", "XTABLE",
))  # fmt: skip
_VIEWS = {
    "PA": "PA", "POSTEROANTERIOR": "PA", "POSTERIORANTERIOR": "PA",
    "AP": "AP", "ANTEROPOSTERIOR": "AP", "ANTERIORPOSTERIOR": "AP",
    "LATERAL": "LATERAL", "LAT": "LATERAL",
    "LL": "LL", "LEFTLATERAL": "LL", "LEFTLAT": "LL", "LLATERAL": "LL", "LLAT": "LL",
    "LATERALLEFT": "LL", "RL": "RL", "RIGHTLATERAL": "RL", "RIGHTLAT": "RL", "RLATERAL": "RL",
    "RLAT": "RL", "LATERALRIGHT": "RL",
}  # fmt: skip
_PER_YEAR = {"M": 12, "W": 52, "D": 365}
