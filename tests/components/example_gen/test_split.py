"""Patients over splits: what must hold whatever the images."""

import collections
import dataclasses
import itertools
import random
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from components.example_gen.datasets.listing import DatasetError, Fate, LeftOut
from components.example_gen.record import NORMAL, PNEUMONIA
from components.example_gen.split import (
    SPLITS,
    TEST,
    TRAIN,
    VALIDATION,
    Division,
    SplitPlan,
    Surveyed,
    divide,
    in_order,
    split_of,
    without_duplicates,
)
from tests.examples import image_facts, xray_file

PLAN = SplitPlan({"train": 0.5, "val": 0.25, "test": 0.25}, salt="cxr")
AS_PUBLISHED = dataclasses.replace(PLAN, as_published=True)
BALANCED = "normal left out to balance"
Splits = Mapping[str, Sequence[Surveyed]]


def image(
    patient: str,
    content: str,
    label: int = NORMAL,
    dataset: str = "pediatric",
    number: int = 0,
    source_split: str | None = None,
) -> Surveyed:
    path = f"/{dataset}/{patient}-{number:04d}.png"
    file = xray_file(patient, label, dataset=dataset, path=path, source_split=source_split)
    return Surveyed(file, image_facts(sha256=content))


@st.composite
def surveys(
    draw: st.DrawFn, patients: int = 12, contents: int = 30, splits: Sequence[str | None] = (None,)
) -> list[Surveyed]:
    """Images of few patients, a good part of them duplicates, some of these contradictory."""
    drawn = draw(
        st.lists(
            st.tuples(
                st.sampled_from(["pediatric", "nih"]),
                st.integers(0, patients - 1),
                st.integers(0, contents - 1),
                st.sampled_from([NORMAL, PNEUMONIA]),
                st.sampled_from(splits),
            ),
            max_size=60,
        )
    )
    return [
        image(str(patient), str(content), label, dataset, number, split)
        for number, (dataset, patient, content, label, split) in enumerate(drawn)
    ]


ratios = st.dictionaries(st.sampled_from(["pediatric", "nih"]), st.floats(0.1, 3))
plans = st.builds(SplitPlan, st.just(PLAN.fractions), st.text(max_size=4), ratios)


def paths(members: Sequence[Surveyed]) -> list[str]:
    return [one.file.path for one in members]


def splits_of(splits: Splits, key: str) -> dict[str, set[str]]:
    """In which splits each patient, or each content, is found."""
    found = collections.defaultdict(set)
    for split, members in splits.items():
        for one in members:
            found[one.file.patient_id if key == "patient" else one.facts.sha256].add(split)
    return found


def count(members: Sequence[Surveyed], dataset: str, label: int) -> int:
    return sum(one.file.dataset == dataset and one.file.label == label for one in members)


# --- Whatever the images ---------------------------------------------------------------------


@given(
    surveyed=surveys(splits=("train", "val", "test", "train_val")),
    plan=plans,
    as_published=st.booleans(),
)
def test_each_image_is_in_one_split_or_left_out(
    surveyed: list[Surveyed], plan: SplitPlan, as_published: bool
) -> None:
    division = divide(surveyed, dataclasses.replace(plan, as_published=as_published))
    kept = [path for members in division.splits.values() for path in paths(members)]
    gone = [one.source for one in division.left_out]
    assert tuple(division.splits) == SPLITS
    assert sorted(kept + gone) == sorted(paths(surveyed))


@given(surveyed=surveys(), plan=plans)
def test_no_patient_and_no_content_straddles_splits(
    surveyed: list[Surveyed], plan: SplitPlan
) -> None:
    splits = divide(surveyed, plan).splits
    for key in ("patient", "content"):
        assert all(len(found) == 1 for found in splits_of(splits, key).values())
    contents = [one.facts.sha256 for members in splits.values() for one in members]
    assert len(contents) == len(set(contents))


@given(surveyed=surveys())
def test_patients_who_share_a_file_share_a_split(surveyed: list[Surveyed]) -> None:
    splits = splits_of(divide(surveyed, PLAN).splits, "patient")
    for one, other in itertools.combinations(surveyed, 2):
        if one.facts.sha256 == other.facts.sha256:
            both = splits.get(one.file.patient_id), splits.get(other.file.patient_id)
            assert None in both or both[0] == both[1]


@given(surveyed=surveys(contents=10_000), data=st.data())
def test_patients_of_the_same_film_share_a_split(
    surveyed: list[Surveyed], data: st.DataObject
) -> None:
    assume(surveyed)
    one_of_them = st.sampled_from(surveyed)
    same_film = data.draw(st.lists(st.tuples(one_of_them, one_of_them), max_size=8))
    division = divide(surveyed, PLAN, same_film)
    splits = splits_of(division.splits, "patient")
    assert all(len(found) == 1 for found in splits.values())
    for one, other in same_film:
        both = splits.get(one.file.patient_id), splits.get(other.file.patient_id)
        assert None in both or both[0] == both[1]
    again = divide(surveyed, PLAN, [(other, one) for one, other in reversed(same_film)])
    assert division == again


@given(surveyed=surveys(), plan=plans, random=st.randoms())
def test_the_order_of_the_files_does_not_matter(
    surveyed: list[Surveyed], plan: SplitPlan, random: random.Random
) -> None:
    assert divide(surveyed, plan) == divide(random.sample(surveyed, len(surveyed)), plan)


@given(surveyed=surveys(), later=surveys())
def test_images_that_come_later_move_no_patient(
    surveyed: list[Surveyed], later: list[Surveyed]
) -> None:
    # New patients and new films of known ones; only a new duplicate may join two patients.
    later = [
        dataclasses.replace(
            one,
            file=dataclasses.replace(one.file, path=f"{one.file.path}.later"),
            facts=dataclasses.replace(one.facts, sha256=f"{one.file.path} later"),
        )
        for one in later
    ]
    before = divide(surveyed, PLAN).splits
    after = divide([*surveyed, *later], PLAN).splits
    for split in SPLITS:
        assert set(paths(before[split])) <= set(paths(after[split]))


@given(surveyed=surveys(), later=surveys())
def test_patients_who_never_shared_a_film_move_only_to_those_whom_they_join(
    surveyed: list[Surveyed], later: list[Surveyed]
) -> None:
    later = [
        dataclasses.replace(one, file=dataclasses.replace(one.file, path=f"{one.file.path}.later"))
        for one in later
    ]
    before = splits_of(divide(surveyed, PLAN).splits, "patient")
    after = splits_of(divide([*surveyed, *later], PLAN).splits, "patient")
    owners = collections.defaultdict(set)
    for one in [*surveyed, *later]:
        owners[one.facts.sha256].add(one.file.patient_id)
    joined = {patient for group in owners.values() if len(group) > 1 for patient in group}
    for patient in before.keys() & after.keys() - joined:
        assert before[patient] == after[patient]


@given(surveyed=surveys(contents=10_000), ratio=st.floats(0.1, 3))
def test_balancing_meets_the_ratio_in_each_split_with_normals_of_that_dataset(
    surveyed: list[Surveyed], ratio: float
) -> None:
    whole = divide(surveyed, PLAN).splits
    division = divide(surveyed, dataclasses.replace(PLAN, normals_per_pneumonia={"nih": ratio}))
    balanced = division.splits
    for split in SPLITS:
        positives = count(whole[split], "nih", PNEUMONIA)
        normals = count(whole[split], "nih", NORMAL)
        assert count(balanced[split], "nih", PNEUMONIA) == positives
        assert count(balanced[split], "nih", NORMAL) == min(normals, round(ratio * positives))
        for label in (NORMAL, PNEUMONIA):
            expected = count(whole[split], "pediatric", label)
            assert count(balanced[split], "pediatric", label) == expected
    by_path = {one.file.path: one.file for one in surveyed}
    for one in division.left_out:
        if one.reason == BALANCED:
            file = by_path[one.source]
            assert (file.dataset, file.label, one.fate) == ("nih", NORMAL, Fate.SURPLUS)


@given(surveyed=surveys(), plan=plans)
def test_the_unsampled_test_split_is_that_of_balanced_datasets_before_they_are(
    surveyed: list[Surveyed], plan: SplitPlan
) -> None:
    whole = divide(surveyed, dataclasses.replace(plan, normals_per_pneumonia={})).splits
    division = divide(surveyed, plan)
    balanced = plan.normals_per_pneumonia
    assert list(division.unsampled) == [one for one in whole[TEST] if one.file.dataset in balanced]
    own = {path for path in paths(division.splits[TEST]) if path.split("/")[1] in balanced}
    assert own <= set(paths(division.unsampled))


def test_normals_are_taken_by_whole_patients_but_for_the_last() -> None:
    surveyed = [image(str(number % 10), str(number), NORMAL, "nih", number) for number in range(50)]
    surveyed += [image("p", f"p{number}", PNEUMONIA, "nih", number) for number in range(12)]
    plan = SplitPlan({"train": 1.0, "val": 0.0, "test": 0.0}, "cxr", {"nih": 1.0})
    kept = [one for one in divide(surveyed, plan).splits[TRAIN] if one.file.label == NORMAL]
    films = collections.Counter(one.file.patient_id for one in kept)
    assert sorted(films.values()) == [2, 5, 5]


def test_which_normals_are_kept_depends_on_the_salt_and_not_on_their_names() -> None:
    surveyed = [image(f"{number:02d}", str(number), NORMAL, "nih") for number in range(40)]
    surveyed += [image("p", f"p{number}", PNEUMONIA, "nih", number) for number in range(10)]
    kept = []
    for salt in ("cxr", "other"):
        plan = SplitPlan({"train": 1.0, "val": 0.0, "test": 0.0}, salt, {"nih": 1.0})
        train = divide(surveyed, plan).splits[TRAIN]
        kept.append({one.file.path for one in train if one.file.label == NORMAL})
    first = {one.file.path for one in surveyed[:10]}
    assert first not in kept
    assert kept[0] != kept[1]


def test_more_pneumonias_keep_the_normals_that_were_kept() -> None:
    normals = [image(str(number), str(number), NORMAL, "nih") for number in range(50)]
    plan = SplitPlan({"train": 1.0, "val": 0.0, "test": 0.0}, "cxr", {"nih": 1.0})
    before: set[str] = set()
    for pneumonias in range(0, 50, 7):
        sick = [image("p", f"p{n}", PNEUMONIA, "nih", n) for n in range(pneumonias)]
        train = divide([*normals, *sick], plan).splits[TRAIN]
        kept = {one.file.path for one in train if one.file.label == NORMAL}
        assert len(kept) == pneumonias
        assert before <= kept
        before = kept


# --- Fractions and salts ---------------------------------------------------------------------


@pytest.mark.parametrize("salt", ["cxr", "another"])
@pytest.mark.parametrize("fractions", [(0.7, 0.15, 0.15), (0.2, 0.2, 0.6)])
def test_each_split_gets_about_its_share_of_patients(
    fractions: tuple[float, ...], salt: str
) -> None:
    patients = 4000
    plan = SplitPlan(dict(zip(SPLITS, fractions, strict=True)), salt)
    got = collections.Counter(split_of(f"nih:{number}", plan) for number in range(patients))
    for split, share in plan.fractions.items():
        deviation = (share * (1 - share) / patients) ** 0.5
        assert got[split] / patients == pytest.approx(share, abs=3 * deviation)


def test_another_salt_is_another_division() -> None:
    other = dataclasses.replace(PLAN, salt="other")
    patients = [f"nih:{number}" for number in range(4000)]
    same = sum(split_of(p, PLAN) == split_of(p, other) for p in patients) / len(patients)
    # As many as by chance: one half squared, and one quarter squared twice.
    assert same == pytest.approx(0.375, abs=0.03)


def test_the_division_is_the_same_in_every_version() -> None:
    # A change of these would move patients from training into test, for every user.
    plan = SplitPlan({"train": 0.7, "val": 0.15, "test": 0.15}, "cxr")
    found = [split_of(f"nih:{number}", plan) for number in range(12)]
    assert [number for number in range(12) if found[number] == VALIDATION] == [5, 6]
    assert [number for number in range(12) if found[number] == TEST] == [2, 8]


# --- As published ----------------------------------------------------------------------------


def test_kaggles_three_folders_are_kept_whatever_the_patients() -> None:
    surveyed = [
        image("1", "a", source_split="train"),
        image("1", "b", source_split="test", number=1),
        image("1", "a", source_split="val", number=2),
        image("2", "b", PNEUMONIA, source_split="train"),
    ]
    division = divide(surveyed, AS_PUBLISHED)
    assert {split: paths(members) for split, members in division.splits.items()} == {
        "train": ["/pediatric/1-0000.png", "/pediatric/2-0000.png"],
        "val": ["/pediatric/1-0002.png"],
        "test": ["/pediatric/1-0001.png"],
    }
    # Duplicates stay too, even those that contradict each other: they are counted as leakage.
    assert not division.left_out


@pytest.mark.parametrize(
    "published", [("train", "test"), ("train_val", "test")], ids=["Mendeley", "NIH"]
)
def test_without_a_published_validation_it_is_carved_out_of_train_by_patient(
    published: tuple[str, str],
) -> None:
    train, test = published
    surveyed = [
        image(str(number // 2), str(number), number=number, source_split=train)
        for number in range(2000)
    ]
    surveyed += [
        image(str(number), f"t{number}", number=5000, source_split=test) for number in range(20)
    ]
    splits = divide(surveyed, AS_PUBLISHED).splits
    assert len(splits[TEST]) == 20
    assert len(splits[TRAIN]) + len(splits[VALIDATION]) == 2000
    # Of the two that are left, train has 0.5 and validation 0.25.
    assert len(splits[VALIDATION]) / 2000 == pytest.approx(1 / 3, abs=0.05)
    found = splits_of({split: splits[split] for split in (TRAIN, VALIDATION)}, "patient")
    assert all(len(where) == 1 for where in found.values())


def test_validation_is_carved_for_the_dataset_that_lacks_it_only() -> None:
    surveyed = [
        image(str(number), str(number), dataset=dataset, number=number, source_split="train")
        for dataset in ("pediatric", "nih")
        for number in range(100)
    ]
    surveyed.append(image("v", "v", dataset="pediatric", source_split="val"))
    splits = divide(surveyed, AS_PUBLISHED).splits
    found = collections.Counter(one.file.dataset for one in splits[VALIDATION])
    assert found["pediatric"] == 1
    assert found["nih"] > 10


@given(surveyed=surveys(splits=("train_val", "test")), later=surveys(splits=("train_val", "test")))
def test_as_published_too_no_patient_moves_and_duplicates_are_kept(
    surveyed: list[Surveyed], later: list[Surveyed]
) -> None:
    later = [
        dataclasses.replace(
            one,
            file=dataclasses.replace(one.file, path=f"{one.file.path}.later"),
            facts=dataclasses.replace(one.facts, sha256=f"{one.file.path} later"),
        )
        for one in later
    ]
    before, after = divide(surveyed, AS_PUBLISHED), divide([*surveyed, *later], AS_PUBLISHED)
    assert not before.left_out
    assert not after.left_out
    for split in SPLITS:
        assert set(paths(before.splits[split])) <= set(paths(after.splits[split]))


def test_an_image_that_the_published_division_lacks_is_out_of_scope() -> None:
    surveyed = [image("1", "a", source_split="train_val"), image("2", "b")]
    divided = divide(surveyed, AS_PUBLISHED)
    (left_out,) = divided.left_out
    assert left_out.source.endswith("2-0000.png")
    assert (left_out.reason, left_out.fate) == ("in no published split", Fate.OUT_OF_SCOPE)


def test_a_dataset_without_a_published_division_is_a_mistake_with_a_remedy() -> None:
    surveyed = [
        image("1", "a", source_split="train_val"),
        image("2", "b", dataset="nih"),
    ]
    with pytest.raises(DatasetError, match=r"nih dataset came without a division.*by_patient"):
        divide(surveyed, AS_PUBLISHED)


def test_what_is_published_is_balanced_too() -> None:
    surveyed = [
        image(str(number), str(number), int(number < 3), "nih", source_split="test")
        for number in range(10)
    ]
    plan = dataclasses.replace(AS_PUBLISHED, normals_per_pneumonia={"nih": 1.0})
    division = divide(surveyed, plan)
    assert len(division.splits[TEST]) == 6
    assert len(division.unsampled) == 10


# --- Duplicates ------------------------------------------------------------------------------


def patients_of_different_splits() -> dict[str, str]:
    """A patient for each split, by the hash alone."""
    numbers = map(str, itertools.count())
    found: dict[str, str] = {}
    while len(found) < len(SPLITS):
        number = next(numbers)
        found.setdefault(split_of(f"pediatric:{number}", PLAN), number)
    return found


def sizes(division: Division) -> list[int]:
    return sorted(len(members) for members in division.splits.values())


def test_patients_joined_by_a_chain_of_duplicates_stay_together() -> None:
    a, b, c = patients_of_different_splits().values()
    alone = [image(patient, f"own {patient}", number=9) for patient in (a, b, c)]
    assert sizes(divide(alone, PLAN)) == [1, 1, 1]

    # a and b share one file, b and c another.
    chain = [
        *(image(patient, "first", number=1) for patient in (a, b)),
        *(image(patient, "second", number=2) for patient in (b, c)),
    ]
    division = divide([*alone, *chain], PLAN)

    assert sizes(division) == [0, 0, 5]
    assert [one.reason for one in division.left_out] == ["exact duplicate of another image"] * 2


def test_patients_joined_by_the_same_film_stay_together_and_both_films_are_kept() -> None:
    a, b, c = patients_of_different_splits().values()
    alone = [image(patient, f"own {patient}") for patient in (a, b, c)]
    division = divide(alone, PLAN, same_film=[(alone[0], alone[1]), (alone[1], alone[2])])
    assert sizes(division) == [0, 0, 3]
    assert not division.left_out


def test_a_long_chain_of_joined_patients_takes_no_time() -> None:
    surveyed = [image(str(number), str(number)) for number in range(20_000)]
    chain = list(zip(surveyed[1:], surveyed, strict=False))
    assert sizes(divide(surveyed, PLAN, chain)) == [0, 0, 20_000]
    assert sizes(divide(surveyed, PLAN, chain[::-1])) == [0, 0, 20_000]


def test_the_first_duplicate_by_name_is_kept() -> None:
    division = divide([image("2", "same"), image("1", "same")], PLAN)
    (kept,) = (one for members in division.splits.values() for one in members)
    assert kept.file.path == "/pediatric/1-0000.png"
    assert division.left_out == [
        LeftOut("/pediatric/2-0000.png", "exact duplicate of another image", Fate.DUPLICATE)
    ]


def test_duplicates_with_contradicting_labels_are_all_left_out() -> None:
    contradicting = [
        image("1", "same", NORMAL),
        image("2", "same", PNEUMONIA),
        image("3", "same", NORMAL),
    ]
    division = divide([*contradicting, image("4", "own")], PLAN)
    assert sizes(division) == [0, 0, 1]
    assert division.left_out == [
        LeftOut(one.file.path, "same bytes under different labels", Fate.QUARANTINED)
        for one in contradicting
    ]


def test_findings_that_differ_contradict_each_other_where_they_are_labels() -> None:
    def labelled(patient: str, *labels: int) -> Surveyed:
        one = image(patient, "same")
        return dataclasses.replace(
            one, file=dataclasses.replace(one.file, finding_labels=tuple(labels))
        )

    alike = [labelled("1", 0, 1), labelled("2", 0, 1)]
    assert sizes(divide(alike, PLAN)) == [0, 0, 1]
    assert sizes(divide([*alike, labelled("3", 1, 1)], PLAN)) == [0, 0, 0]


@given(surveyed=surveys())
def test_without_duplicates_each_content_is_once_and_nothing_is_lost(
    surveyed: list[Surveyed],
) -> None:
    kept, left_out = without_duplicates(in_order(surveyed))
    contents = [one.facts.sha256 for one in kept]
    assert len(contents) == len(set(contents))
    assert sorted(paths(kept) + [one.source for one in left_out]) == sorted(paths(surveyed))
