"""What is said about faulty data, and that nothing is said about sound data."""

import copy
from typing import Any

import pytest

from components.data_gate.comparators import Measure
from components.data_gate.distance import Comparison, Distance, Kind
from components.data_gate.problems import Anomaly, Check, Problem, find_notes, find_problems
from components.data_gate.settings import DataGateSettings
from tests.components.data_gate.samples import account

SETTINGS = DataGateSettings()


@pytest.fixture
def ingest() -> dict[str, Any]:
    own = {"pediatric": (300, 700), "nih": (40, 40)}
    return account({"train": own, "val": own, "test": own})


def problems(ingest: dict[str, Any], *comparisons: Comparison, **changes: Any) -> list[Problem]:
    return find_problems(ingest, changes.get("anomalies", ()), comparisons, SETTINGS)


def comparison(
    kind: Kind = Kind.SKEW, value: float = 0.28, gated: bool = True, dataset: str = "pediatric"
) -> Comparison:
    distances = (
        Distance("image/mean", Measure.DIVERGENCE, 0.02, 0.15),
        Distance("image/p01", Measure.DIVERGENCE, value, 0.15),
        Distance("sex", Measure.SHARE, value + 0.2, 0.2),
    )
    second = "test" if kind is Kind.SKEW else "last run's train"
    return Comparison(kind, dataset, "train", second, (3500, 820), gated, distances)


# What was compared with an earlier run.
SAME = [comparison(Kind.DRIFT, 0.0, dataset=name) for name in ("pediatric", "nih")]


def test_sound_data_has_none(ingest: dict[str, Any]) -> None:
    assert problems(ingest, comparison(value=0.0)) == []
    assert find_notes(ingest, [comparison(value=0.0), *SAME], SETTINGS) == []


@pytest.mark.parametrize(
    ("what", "count", "said"),
    [
        ("patients", 1, "1 patient in more than one"),
        ("exact_duplicates", 2, "2 exact duplicates in more than one"),
        ("near_duplicates", 1200, "1,200 near duplicates in more than one"),
    ],
)
def test_leakage(ingest: dict[str, Any], what: str, count: int, said: str) -> None:
    ingest["leakage"][what] = count
    (found,) = problems(ingest)
    assert found.check is Check.LEAKAGE
    assert said in found.sentence
    assert "near_duplicates=join" in found.remedy


def test_leakage_of_a_published_division_is_a_note(ingest: dict[str, Any]) -> None:
    ingest["split"]["method"] = "as_published"
    ingest["leakage"]["patients"] = 3
    assert problems(ingest) == []
    (note,) = find_notes(ingest, SAME, SETTINGS)
    assert "3 patients in more than one split" in note
    assert "data.split.method=by_patient" in note


def test_a_class_is_missing_in_a_split(ingest: dict[str, Any]) -> None:
    ingest["splits"]["val"]["nih"]["classes"]["pneumonia"] = 0
    (found,) = problems(ingest)
    assert found.check is Check.CLASSES
    assert found.sentence == "nih: the val split has no pneumonia image among its 80."
    assert "data.split.fractions" in found.remedy


def test_a_whole_dataset_is_missing_in_a_split(ingest: dict[str, Any]) -> None:
    del ingest["splits"]["test"]["nih"]
    assert [one.sentence for one in problems(ingest)] == [
        f"nih: the test split has no {name} image among its 0." for name in ("normal", "pneumonia")
    ]


def test_the_remedy_for_a_class_in_a_published_division_is_another(ingest: dict[str, Any]) -> None:
    ingest["split"]["method"] = "as_published"
    del ingest["splits"]["val"]["nih"]["classes"]["normal"]
    (found,) = problems(ingest)
    assert "by_patient" in found.remedy


def test_quarantine_is_measured_on_what_is_on_disk(ingest: dict[str, Any]) -> None:
    nih = ingest["datasets"]["nih"]
    nih["read"] = 100_000
    nih["fates"] |= {"not on disk": 99_000, "quarantined": 50}
    assert problems(ingest) == []
    nih["fates"]["quarantined"] = 51
    (found,) = problems(ingest)
    assert found.check is Check.QUARANTINE
    assert "51 of 1,000 images on disk (5.1 %)" in found.sentence
    assert "left_out_files" in found.remedy


def test_an_anomaly_says_where_and_what(ingest: dict[str, Any]) -> None:
    (found,) = problems(ingest, anomalies=[Anomaly("val", "sex", "Unexpected value: U.")])
    assert found.check is Check.ANOMALY
    assert found.sentence == "val: sex: Unexpected value: U."
    assert "schema.pbtxt" in found.remedy


@pytest.mark.parametrize("kind", [Kind.SKEW, Kind.DRIFT])
def test_a_difference_names_the_features_and_the_settings(
    ingest: dict[str, Any], kind: Kind
) -> None:
    (found,) = problems(ingest, comparison(kind))
    assert found.check is Check(kind.value)
    assert "sex (0.48, limit 0.20), image/p01 (0.28, limit 0.15)" in found.sentence
    assert "image/mean" not in found.sentence
    assert "--set data_gate.limits.image/p01=0.31" in found.remedy
    assert ("on_failure=warn" in found.remedy) == (kind is Kind.DRIFT)


def test_what_the_remedy_allows_is_allowed(ingest: dict[str, Any]) -> None:
    found = comparison(value=0.4)
    (problem,) = problems(ingest, found)
    settings = dict(
        part.removeprefix("data_gate.limits.").split("=")
        for part in problem.remedy.rstrip(".").split()
        if part.startswith("data_gate.limits.")
    )
    allowed = DataGateSettings.model_validate({"limits": settings}).skew_limits()
    assert all(one.value <= allowed[one.feature] for one in found.distances)


def test_too_few_images_are_a_note(ingest: dict[str, Any]) -> None:
    few = comparison(gated=False)
    assert problems(ingest, few) == []
    (note,) = find_notes(ingest, [few, *SAME], SETTINGS)
    assert "not judged" in note
    assert "data_gate.min_images (100)" in note


def test_notes_of_what_was_kept_or_ignored(ingest: dict[str, Any]) -> None:
    before = copy.deepcopy(ingest)
    ingest["suspects"] = {"lateral view": 4, "image is tiny": 1}
    ingest["ignored_values"] = {"age_years": 3}
    assert find_notes(ingest, SAME, SETTINGS) == [
        "5 suspicious images were kept and only reported: 4 lateral view, 1 image is tiny.",
        "Values that could not be used were ignored: age_years (3).",
    ]
    assert find_notes(before, SAME, SETTINGS) == []


def test_a_dataset_without_an_earlier_run_is_a_note(ingest: dict[str, Any]) -> None:
    (note,) = find_notes(ingest, SAME[:1], SETTINGS)
    assert note == "No earlier run of nih was accepted, to compare this one with."
