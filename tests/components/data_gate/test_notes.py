"""What a reader is told besides, and that it is no reason to refuse the data."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import pytest

from components.data_gate.comparators import Measure
from components.data_gate.distance import Comparison, Distance, Kind
from components.data_gate.notes import find_notes
from components.data_gate.problems import Problem, find_problems
from components.data_gate.settings import DataGateSettings
from tests.components.data_gate.samples import SAME, comparison, label_all

SETTINGS = DataGateSettings()


def problems(ingest: dict[str, Any], *comparisons: Comparison) -> list[Problem]:
    return find_problems(ingest, (), comparisons, SETTINGS)


def test_of_sound_data_there_is_none(ingest: dict[str, Any]) -> None:
    assert find_notes(ingest, [comparison(value=0.0), *SAME], SETTINGS) == []


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
