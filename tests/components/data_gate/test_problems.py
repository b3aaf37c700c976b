"""What is said against faulty data, and that nothing is said against sound data."""

import dataclasses
from typing import Any

import pytest

from components.data_gate.comparators import Measure
from components.data_gate.distance import Comparison, Distance, Kind
from components.data_gate.problems import Anomaly, Check, Problem, find_problems
from components.data_gate.settings import DataGateSettings
from tests.components.data_gate.samples import comparison, label_all

SETTINGS = DataGateSettings()


def problems(ingest: dict[str, Any], *comparisons: Comparison, **changes: Any) -> list[Problem]:
    return find_problems(ingest, changes.get("anomalies", ()), comparisons, SETTINGS)


def test_sound_data_has_none(ingest: dict[str, Any]) -> None:
    assert problems(ingest, comparison(value=0.0)) == []


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
    assert "no setting mends it" in found.remedy


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


@pytest.mark.parametrize("told", [True, False])
def test_balancing_without_a_pneumonia_image_is_one_problem(
    ingest: dict[str, Any], told: bool
) -> None:
    if told:
        ingest["sources"]["nih"]["normals_per_pneumonia"] = 1.0
    else:  # an account of an earlier version
        del ingest["sources"]
        ingest["datasets"]["nih"]["fates"]["surplus"] = 900
    del ingest["splits"]["val"]["nih"]
    assert [one.sentence for one in problems(ingest)] == [
        "nih: no pneumonia image in val, so that balancing kept no normal one either."
    ]


def test_the_remedy_for_a_class_in_a_published_division_is_another(ingest: dict[str, Any]) -> None:
    ingest["split"]["method"] = "as_published"
    del ingest["splits"]["val"]["nih"]["classes"]["normal"]
    (found,) = problems(ingest)
    assert "by_patient" in found.remedy


def test_quarantine_is_measured_on_images_and_not_on_rows(ingest: dict[str, Any]) -> None:
    nih = ingest["datasets"]["nih"]
    nih["read"] = 100_000
    nih["fates"] |= {"not on disk": 98_000, "bad row": 100, "out of scope": 900, "quarantined": 50}
    assert problems(ingest) == []
    nih["fates"]["quarantined"] = 51
    (found,) = problems(ingest)
    assert found.check is Check.QUARANTINE
    assert "51 of 1,000 images on disk (5.1 %)" in found.sentence
    assert "left_out_files" in found.remedy


def test_rows_that_cannot_be_trusted_are_no_quarantined_images(ingest: dict[str, Any]) -> None:
    nih = ingest["datasets"]["nih"]
    nih["read"] = 100_000
    nih["fates"] |= {"not on disk": 99_000, "bad row": 50}
    assert problems(ingest) == []
    nih["fates"]["bad row"] = 51
    (found,) = problems(ingest)
    assert found.check is Check.BAD_ROWS
    assert "of 1,000 rows and files, 51 (5.1 %) are rows" in found.sentence
    assert "data_gate.max_bad_rows is 0.05" in found.sentence
    assert "data.datasets.nih.columns" in found.remedy


def test_an_account_may_lack_fates_that_nothing_met(ingest: dict[str, Any]) -> None:
    for own in ingest["datasets"].values():
        own["fates"] = {"kept": own["read"]}
    assert problems(ingest) == []


def test_an_anomaly_says_where_and_what(ingest: dict[str, Any]) -> None:
    (found,) = problems(ingest, anomalies=[Anomaly("val", "sex", "Unexpected value: U.")])
    assert found.check is Check.ANOMALY
    assert found.sentence == "val: sex: Unexpected value: U."
    assert "schema.pbtxt" in found.remedy


def test_an_anomaly_of_the_test_split_is_not_said_again_of_the_unsampled_one(
    ingest: dict[str, Any],
) -> None:
    unsampled = [Anomaly("test_unsampled", "sex", "U"), Anomaly("test_unsampled", "sex", "X")]
    found = problems(ingest, anomalies=[Anomaly("test", "sex", "U"), *unsampled])
    assert [one.sentence for one in found] == ["test: sex: U.", "test_unsampled: sex: X."]


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


def test_a_difference_in_the_share_that_has_a_feature_has_a_setting_of_its_own(
    ingest: dict[str, Any],
) -> None:
    found = comparison(value=0.0)
    share = Distance("age_years", Measure.PRESENCE, 0.9, 0.2, found.images, True)
    (problem,) = problems(ingest, dataclasses.replace(found, distances=(share,)))
    assert "age_years, share that has it (0.90, limit 0.20)" in problem.sentence
    assert "--set data_gate.max_share_difference=0.99" in problem.remedy
    assert "limits" not in problem.remedy


@pytest.mark.parametrize("name", ["no finding", "any finding"])
def test_a_split_without_any_finding_or_with_nothing_else_is_refused(
    ingest: dict[str, Any], name: str
) -> None:
    label_all(ingest)["splits"]["val"]["nih"]["classes"][name] = 0
    (found,) = problems(ingest)
    assert found.check is Check.CLASSES
    assert f"nih: the val split has no {name} image" in found.sentence
