"""Which settings changed between two runs."""

from typing import Any

from components.data_gate.made_by import changed, made_by
from tests.components.data_gate.samples import account


def ingest() -> dict[str, Any]:
    return account({"train": {"nih": (5, 5), "pediatric": (5, 5)}})


def test_the_same_settings_did_not_change() -> None:
    moved = ingest()
    moved["sources"]["nih"]["folder"] = "elsewhere"  # which is no other data
    assert changed(made_by(ingest()), made_by(moved), "nih") == []


def test_changed_settings_are_named_as_in_the_configuration() -> None:
    other = ingest()
    other["quality"] = "report_only"
    other["split"] |= {"salt": "another", "fractions": {}}
    other["sources"]["nih"]["normals_per_pneumonia"] = 2.0
    of_all = ["data.quality", "data.split.salt"]
    before, now = made_by(ingest()), made_by(other)
    assert changed(before, now, "pediatric") == of_all
    assert changed(before, now, "nih") == [
        "data.datasets.nih.normals_per_pneumonia",
        *of_all,
    ]


def test_limits_of_quality_are_named_one_by_one() -> None:
    before, other = ingest(), ingest()
    before["quality"] = {"mode": "quarantine", "min_side": 64, "views": ["PA", "AP"]}
    other["quality"] = before["quality"] | {"min_side": 32, "views": ["PA"]}
    assert changed(made_by(before), made_by(other), "nih") == [
        "data.quality.min_side",
        "data.quality.views",
    ]


def test_what_an_earlier_version_did_not_record_is_not_taken_for_changed() -> None:
    earlier, now = ingest(), ingest()
    del earlier["sources"], earlier["split"]["near_duplicates"]
    now["sources"]["nih"]["normals_per_pneumonia"] = 2.0
    assert changed(made_by(earlier), made_by(now), "nih") == []


def test_other_labels_are_other_data() -> None:
    other = ingest() | {"labels": "findings"}
    assert changed(made_by(ingest()), made_by(other), "nih") == ["data.labels"]
