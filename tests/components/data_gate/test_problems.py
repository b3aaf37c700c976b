"""What is said about faulty data, and that nothing is said about sound data."""

import copy
import dataclasses
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
    images = (3500, 820) if gated else (3500, 82)
    distances = (
        Distance("image/mean", Measure.DIVERGENCE, 0.02, 0.15, images, gated),
        Distance("image/p01", Measure.DIVERGENCE, value, 0.15, images, gated),
        Distance("sex", Measure.SHARE, value + 0.2, 0.2, images, gated),
    )
    second = "test" if kind is Kind.SKEW else "last run's train"
    return Comparison(kind, dataset, "train", second, images, gated, distances)


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
    assert "no setting mends it" in found.remedy


def test_near_duplicates_that_are_only_counted_are_a_note(ingest: dict[str, Any]) -> None:
    ingest["split"]["near_duplicates"] = "report"
    ingest["leakage"]["near_duplicates"] = 4
    assert problems(ingest) == []
    (note,) = find_notes(ingest, SAME, SETTINGS)
    assert "4 near duplicates in more than one split" in note
    assert "data.split.near_duplicates=report only counts them" in note

    ingest["leakage"]["patients"] = 1  # which is not what was asked for
    (found,) = problems(ingest)
    assert "1 patient in more than one" in found.sentence
    assert "near duplicate" not in found.sentence


@pytest.mark.parametrize("method", ["as_published", "by_patient"])
def test_duplicates_under_both_labels_are_a_note_where_they_are_kept(
    ingest: dict[str, Any], method: str
) -> None:
    ingest["split"]["method"] = method
    ingest["duplicates"]["exact"]["across_labels"] = 1
    ingest["duplicates"]["near"]["across_labels"] = 2
    assert problems(ingest) == []
    notes = find_notes(ingest, SAME, SETTINGS)
    said = "1 exact duplicate and 2 near duplicates under different labels"
    assert [said in note for note in notes] == [True] * (method == "as_published")


def test_films_that_could_not_be_compared_make_leakage_a_lower_bound(
    ingest: dict[str, Any],
) -> None:
    ingest["duplicates"]["near"]["abandoned"] = 1200
    (note,) = find_notes(ingest, SAME, SETTINGS)
    assert note.startswith("1,200 pairs of similar films could not be compared")
    assert "more leakage" in note


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


def test_a_feature_of_few_images_is_a_note(ingest: dict[str, Any]) -> None:
    found = comparison(value=0.0)
    rare = Distance("age_years", Measure.DIVERGENCE, 0.9, 0.2, (20, 10), False)
    found = dataclasses.replace(found, distances=(*found.distances, rare))
    assert problems(ingest, found) == []
    (note,) = find_notes(ingest, [found, *SAME], SETTINGS)
    assert note == (
        "pediatric: compared, but had by fewer than data_gate.min_images (150) images and not "
        "judged: age_years."
    )


def test_another_setting_than_the_last_run_had_is_a_note(ingest: dict[str, Any]) -> None:
    drift = comparison(Kind.DRIFT, gated=False)
    drift = dataclasses.replace(drift, images=(3500, 820), changed=("data.split.salt",))
    assert problems(ingest, drift) == []
    (note,) = find_notes(ingest, [drift, SAME[1]], SETTINGS)
    assert note.startswith("pediatric: the last accepted run was made by other settings")
    assert "(data.split.salt)" in note


def test_too_few_images_are_a_note(ingest: dict[str, Any]) -> None:
    few = comparison(gated=False)
    assert problems(ingest, few) == []
    (note,) = find_notes(ingest, [few, *SAME], SETTINGS)
    assert "not judged" in note
    assert "data_gate.min_images (150)" in note


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


# --- All findings as labels ------------------------------------------------------------------


def label_all(ingest: dict[str, Any], **counts: int) -> dict[str, Any]:
    """The same data as the ingest tells of it where all findings are labels."""
    names = ["no finding", "any finding"]
    ingest |= {"labels": "findings", "class_names": names}
    for own in ingest["splits"].values():
        for one in own.values():
            one["classes"] = dict(zip(names, one["classes"].values(), strict=True))
            one["findings"] = {"Mass": 1, "Hernia": 1, "Pneumonia": 1} | counts
    return ingest


def test_a_rare_finding_that_a_split_lacks_is_a_note(ingest: dict[str, Any]) -> None:
    label_all(ingest)
    assert find_notes(ingest, SAME, SETTINGS) == []
    for split in ("train", "test"):
        ingest["splits"][split]["nih"]["findings"] |= {"Hernia": 0, "Pneumonia": 0}
    assert problems(ingest) == []
    in_train, in_test = find_notes(ingest, SAME, SETTINGS)
    assert "nih: the train split has no image of Hernia, Pneumonia among its" in in_train
    assert "cannot be learnt" in in_train
    assert "cannot be measured" in in_test


@pytest.mark.parametrize("name", ["no finding", "any finding"])
def test_a_split_without_any_finding_or_with_nothing_else_is_refused(
    ingest: dict[str, Any], name: str
) -> None:
    label_all(ingest)["splits"]["val"]["nih"]["classes"][name] = 0
    (found,) = problems(ingest)
    assert found.check is Check.CLASSES
    assert f"nih: the val split has no {name} image" in found.sentence
