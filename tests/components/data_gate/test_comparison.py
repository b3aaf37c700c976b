"""Distances, as TFDV measures them on real statistics."""

import functools
from collections.abc import Iterable
from typing import Any

import pytest

from components.data_gate import comparators
from components.data_gate.comparators import Measure
from components.data_gate.comparison import compare
from components.data_gate.distance import Comparison, Kind
from components.data_gate.settings import DataGateSettings
from components.data_gate.tables import Statistics
from tests.components.data_gate.samples import films, statistics_of

TRAIN = range(400)
TEST = range(1000, 1200)


@functools.cache
def train(dataset: str = "pediatric") -> Statistics:
    return statistics_of(films(TRAIN, dataset))


def against_test(
    examples: Iterable[Any], dataset: str = "pediatric", **settings: Any
) -> Comparison:
    splits = {
        "train": {dataset: train(dataset)},
        "val": {},
        "test": {dataset: statistics_of(list(examples))},
    }
    (found,) = compare(splits, {}, comparators.read_schema(), DataGateSettings(**settings))
    assert (found.kind, found.dataset, found.second) == (Kind.SKEW, dataset, "test")
    return found


def between(first: Statistics, second: Statistics) -> Comparison:
    splits = {"train": {"nih": first}, "val": {}, "test": {"nih": second}}
    (found,) = compare(splits, {}, comparators.read_schema(), DataGateSettings())
    return found


def exceeded(found: Comparison) -> set[str]:
    return {one.feature for one in found.exceeded}


@pytest.mark.parametrize("dataset", ["pediatric", "nih"])
def test_films_of_the_same_kind_pass(dataset: str) -> None:
    found = against_test(films(TEST, dataset), dataset)
    assert found.gated
    assert found.images == (400, 200)
    assert exceeded(found) == set()
    assert all(0 <= one.value < 0.2 for one in found.distances)


def test_what_only_half_of_the_images_went_through_is_found() -> None:
    half = [*films(TEST[:100]), *films(TEST[100:], p01=0.3, height=777)]
    assert exceeded(against_test(half)) == {"image/p01", "image/height"}


def test_another_share_of_a_name_is_found() -> None:
    found = against_test(films(TEST, "nih", sex="F"), "nih")
    (distance,) = found.exceeded
    assert distance.feature == "sex"
    assert distance.value == pytest.approx(0.5, abs=0.1)


def test_one_giant_image_is_no_other_data_set() -> None:
    giant = {"height": 19_000, "width": 19_000, "file_bytes": 90_000_000, "sharpness": 5.0}
    found = against_test([*films(TEST[1:]), *films(TEST[:1], **giant)])
    assert exceeded(found) == set()


@pytest.mark.parametrize("swapped", [False, True])
def test_a_feature_that_only_one_side_has_differs_in_the_share_that_has_it(swapped: bool) -> None:
    without, with_age = films(TEST, "nih", age_years=None, sex=None), films(TRAIN, "nih")
    sides = [statistics_of(one) for one in (with_age, without)]
    first, second = reversed(sides) if swapped else sides
    found = between(first, second)
    values = {(one.feature, one.measure): one.value for one in found.distances}
    assert values["age_years", Measure.PRESENCE] == values["sex", Measure.PRESENCE] == 1.0
    assert ("age_years", Measure.DIVERGENCE) not in values  # there is nothing to compare
    assert exceeded(found) == {"age_years", "sex"}
    assert "modality" not in {one.feature for one in found.distances}  # which neither has


def test_one_image_with_an_age_where_there_was_none_is_no_difference() -> None:
    before = statistics_of(films(TRAIN, "nih", age_years=None))
    one_more = [*films(TEST[1:], "nih", age_years=None), *films(TEST[:1], "nih", age_years=50)]
    found = between(before, statistics_of(one_more))
    (age,) = (one for one in found.distances if one.feature == "age_years")
    assert (age.measure, age.value) == (Measure.PRESENCE, pytest.approx(1 / len(TEST)))
    assert exceeded(found) == set()


def test_a_feature_that_few_images_have_is_shown_and_not_judged() -> None:
    def mostly_without_age(numbers: range, age: int) -> Statistics:
        few = len(numbers) // 20
        known = films(numbers[:few], "nih", age_years=age)
        return statistics_of([*known, *films(numbers[few:], "nih", age_years=None)])

    found = between(mostly_without_age(TRAIN, 20), mostly_without_age(TEST, 80))
    assert found.gated
    age, share = (one for one in found.distances if one.feature == "age_years")
    assert (age.value, age.exceeds, age.judged) == (1.0, True, False)
    assert age.images == (20, 10)
    assert (share.measure, share.judged, share.value) == (Measure.PRESENCE, True, 0.0)
    assert exceeded(found) == set()


@pytest.mark.parametrize(("limit", "expected"), [(0.2, {"sex"}), (0.9, set())])
def test_a_feature_that_most_of_a_split_lacks_is_found(limit: float, expected: set[str]) -> None:
    tenth = len(TEST) // 10
    mostly_without = films(TEST[:tenth], "nih") + films(TEST[tenth:], "nih", sex=None)
    found = against_test(mostly_without, "nih", max_share_difference=limit)
    shares = {one.feature: one.value for one in found.distances if one.measure is Measure.PRESENCE}
    assert shares == {"sex": pytest.approx(0.9)}
    assert exceeded(found) == expected


def test_few_images_are_compared_and_not_judged() -> None:
    few = films(TEST[:149], p01=0.3)
    found = against_test(few)
    assert not found.gated
    assert {one.feature for one in found.distances if one.exceeds} >= {"image/p01"}
    assert exceeded(found) == set()
    assert "image/p01" in exceeded(against_test(few, min_images=149))


def test_what_was_made_by_other_settings_is_compared_and_not_judged() -> None:
    splits = {"train": {"pediatric": train()}, "val": {}, "test": {}}
    baseline = {"pediatric": statistics_of(films(TEST, p01=0.3))}
    changed = {"pediatric": ["data.split.salt"]}
    schema = comparators.read_schema()
    (found,) = compare(splits, baseline, schema, DataGateSettings(), changed)
    assert (found.kind, found.gated, found.changed) == (Kind.DRIFT, False, ("data.split.salt",))
    assert {one.feature for one in found.distances if one.exceeds} == {"image/p01"}
    assert exceeded(found) == set()


def test_a_limit_of_a_feature_is_its_own() -> None:
    other = films(TEST, p01=0.3, p99=0.5)
    assert exceeded(against_test(other)) == {"image/p01", "image/p99"}
    assert exceeded(against_test(other, limits={"image/p01": 1.0})) == {"image/p99"}
    assert exceeded(against_test(other, max_skew=1.0)) == set()


def test_datasets_are_compared_each_with_itself_and_only_shown_against_each_other() -> None:
    splits = {
        "train": {"nih": train("nih"), "pediatric": train()},
        "val": {"nih": train("nih")},
        "test": {},
    }
    baseline = {"pediatric": statistics_of(films(TEST, p01=0.3)), "mimic": train("nih")}
    found = compare(splits, baseline, comparators.read_schema(), DataGateSettings(max_skew=0.9))

    assert [(one.kind, one.dataset, one.first, one.second) for one in found] == [
        (Kind.SKEW, "nih", "train", "val"),
        (Kind.DRIFT, "pediatric", "train", "last run's train"),
        (Kind.EXPECTED, "nih and pediatric", "nih", "pediatric"),
    ]
    same, drifted, expected = found
    assert all(one.value == 0 for one in same.distances)
    assert exceeded(drifted) == {"image/p01"}
    assert max(one.value for one in expected.distances) == 1.0
    assert exceeded(expected) == set()
