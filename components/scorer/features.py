"""What a scored image keeps of its Example, and what divides images into slices."""

from __future__ import annotations

from components.example_gen import record

AGE_YEARS = "age_years"
AGE_GROUP = "age_group"
PROBABILITY = "probability"
DECISION = "decision"
# The same of the last blessed model, where there is one.
LAST_PROBABILITY = "last_probability"
LAST_DECISION = "last_decision"

# Features with few values.
SLICEABLE = (*record.SLICEABLE, AGE_GROUP)

# All but the pixels and what is measured on them.
KEPT = (
    record.SHA256,
    record.FILENAME,
    record.PATIENT_ID,
    record.LABEL,
    record.FINDING_LABELS,
    *record.SLICEABLE,
)

_AGE_GROUPS = ((18, "under 18"), (40, "18-40"), (60, "40-60"), (80, "60-80"))
_OLDEST = "80+"


def age_group(years: int) -> str:
    """The group of an age; a group ends before the year that the next one begins with."""
    return next((name for end, name in _AGE_GROUPS if years < end), _OLDEST)
