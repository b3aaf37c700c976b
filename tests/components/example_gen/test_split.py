"""Patients over splits: what must hold whatever the images."""

import collections
import dataclasses
import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.example_gen.listing import LeftOut
from components.example_gen.record import NORMAL, PNEUMONIA, ImageFacts
from components.example_gen.split import SPLITS, SplitPlan, Surveyed, divide, split_of
from tests.components.example_gen.samples import xray_file

PLAN = SplitPlan({"train": 0.5, "val": 0.25, "test": 0.25}, salt="cxr")
Divided = dict[str, list[Surveyed]]


def image(
    patient: str, content: str, label: int = NORMAL, dataset: str = "pediatric", number: int = 0
) -> Surveyed:
    facts = ImageFacts(
        sha256=content,
        format="PNG",
        height=9,
        width=9,
        file_bytes=9,
        mean=0.5,
        std=0.1,
        p01=0.1,
        p99=0.9,
        black_border=0.0,
        sharpness=0.0,
    )
    path = f"/{dataset}/{patient}-{number:04d}.png"
    return Surveyed(xray_file(patient, label, dataset=dataset, path=path), facts)


@st.composite
def surveys(draw: st.DrawFn, patients: int = 12, contents: int = 30) -> list[Surveyed]:
    """Images of few patients, a good part of them duplicates, some of these contradictory."""
    drawn = draw(
        st.lists(
            st.tuples(
                st.sampled_from(["pediatric", "nih"]),
                st.integers(0, patients - 1),
                st.integers(0, contents - 1),
                st.sampled_from([NORMAL, PNEUMONIA]),
            ),
            max_size=60,
        )
    )
    return [
        image(str(patient), str(content), label, dataset, number)
        for number, (dataset, patient, content, label) in enumerate(drawn)
    ]


plans = st.builds(
    SplitPlan,
    st.just(PLAN.fractions),
    st.text(max_size=4),
    st.dictionaries(st.sampled_from(["pediatric", "nih"]), st.floats(0.1, 3)),
)


def splits_of(divided: Divided, key: str) -> dict[str, set[str]]:
    """In which splits each patient, or each content, is found."""
    found = collections.defaultdict(set)
    for split, members in divided.items():
        for one in members:
            found[one.file.patient_id if key == "patient" else one.facts.sha256].add(split)
    return found


def count(members: list[Surveyed], dataset: str, label: int) -> int:
    return sum(one.file.dataset == dataset and one.file.label == label for one in members)


# --- Whatever the images ---------------------------------------------------------------------


@given(surveyed=surveys(), plan=plans)
def test_each_image_is_in_one_split_or_left_out(surveyed: list[Surveyed], plan: SplitPlan) -> None:
    divided, left_out = divide(surveyed, plan)
    kept = [one.file.path for members in divided.values() for one in members]
    gone = [one.source for one in left_out]
    assert tuple(divided) == SPLITS
    assert sorted(kept + gone) == sorted(one.file.path for one in surveyed)


@given(surveyed=surveys(), plan=plans)
def test_no_patient_and_no_content_straddles_splits(
    surveyed: list[Surveyed], plan: SplitPlan
) -> None:
    divided, _ = divide(surveyed, plan)
    for key in ("patient", "content"):
        assert all(len(splits) == 1 for splits in splits_of(divided, key).values())
    contents = [one.facts.sha256 for members in divided.values() for one in members]
    assert len(contents) == len(set(contents))


@given(surveyed=surveys())
def test_patients_who_share_a_file_share_a_split(surveyed: list[Surveyed]) -> None:
    splits = splits_of(divide(surveyed, PLAN)[0], "patient")
    for one, other in itertools.combinations(surveyed, 2):
        if one.facts.sha256 == other.facts.sha256:
            both = splits.get(one.file.patient_id), splits.get(other.file.patient_id)
            assert None in both or both[0] == both[1]


@given(surveyed=surveys(), plan=plans, random=st.randoms())
def test_the_order_of_the_files_does_not_matter(
    surveyed: list[Surveyed], plan: SplitPlan, random: random.Random
) -> None:
    divided, left_out = divide(surveyed, plan)
    again, left_out_again = divide(random.sample(surveyed, len(surveyed)), plan)
    assert divided == again
    assert sorted(left_out, key=str) == sorted(left_out_again, key=str)


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
    before, _ = divide(surveyed, PLAN)
    after, _ = divide([*surveyed, *later], PLAN)
    for split in SPLITS:
        assert {one.file.path for one in before[split]} <= {one.file.path for one in after[split]}


@given(surveyed=surveys(contents=10_000), ratio=st.floats(0.1, 3))
def test_balancing_meets_the_ratio_in_each_split_with_normals_of_that_dataset(
    surveyed: list[Surveyed], ratio: float
) -> None:
    whole, _ = divide(surveyed, PLAN)
    balanced, left_out = divide(
        surveyed, dataclasses.replace(PLAN, normals_per_pneumonia={"nih": ratio})
    )
    for split in SPLITS:
        positives = count(whole[split], "nih", PNEUMONIA)
        normals = count(whole[split], "nih", NORMAL)
        assert count(balanced[split], "nih", PNEUMONIA) == positives
        assert count(balanced[split], "nih", NORMAL) == min(normals, round(ratio * positives))
        for label in (NORMAL, PNEUMONIA):
            expected = count(whole[split], "pediatric", label)
            assert count(balanced[split], "pediatric", label) == expected
    by_path = {one.file.path: one.file for one in surveyed}
    for one in left_out:
        if one.reason == "normal left out to balance":
            file = by_path[one.source]
            assert (file.dataset, file.label) == ("nih", NORMAL)


# --- Fractions and salts ---------------------------------------------------------------------


@pytest.mark.parametrize("salt", ["cxr", "another"])
@pytest.mark.parametrize("fractions", [(0.7, 0.15, 0.15), (0.2, 0.2, 0.6)])
def test_each_split_gets_about_its_share_of_patients(
    fractions: tuple[float, ...], salt: str
) -> None:
    plan = SplitPlan(dict(zip(SPLITS, fractions, strict=True)), salt)
    got = collections.Counter(split_of(f"nih:{number}", plan) for number in range(4000))
    for split, share in plan.fractions.items():
        assert got[split] / 4000 == pytest.approx(share, abs=0.03)


def test_another_salt_is_another_division() -> None:
    other = dataclasses.replace(PLAN, salt="other")
    patients = [f"nih:{number}" for number in range(200)]
    assert [split_of(p, PLAN) for p in patients] != [split_of(p, other) for p in patients]


# --- Duplicates ------------------------------------------------------------------------------


def patients_of_different_splits() -> dict[str, str]:
    """A patient for each split, by the hash alone."""
    numbers = map(str, itertools.count())
    found: dict[str, str] = {}
    while len(found) < len(SPLITS):
        number = next(numbers)
        found.setdefault(split_of(f"pediatric:{number}", PLAN), number)
    return found


def test_patients_joined_by_a_chain_of_duplicates_stay_together() -> None:
    a, b, c = patients_of_different_splits().values()
    alone = [image(patient, f"own {patient}", number=9) for patient in (a, b, c)]
    divided, _ = divide(alone, PLAN)
    assert [len(members) for members in divided.values()] == [1, 1, 1]

    # a and b share one file, b and c another.
    chain = [
        *(image(patient, "first", number=1) for patient in (a, b)),
        *(image(patient, "second", number=2) for patient in (b, c)),
    ]
    divided, left_out = divide([*alone, *chain], PLAN)

    assert sorted(len(members) for members in divided.values()) == [0, 0, 5]
    assert [one.reason for one in left_out] == ["exact duplicate of another image"] * 2


def test_the_first_duplicate_by_name_is_kept() -> None:
    divided, left_out = divide([image("2", "same"), image("1", "same")], PLAN)
    (kept,) = (one for members in divided.values() for one in members)
    assert kept.file.path == "/pediatric/1-0000.png"
    assert left_out == [LeftOut("/pediatric/2-0000.png", "exact duplicate of another image")]


def test_duplicates_with_contradicting_labels_are_all_left_out() -> None:
    contradicting = [
        image("1", "same", NORMAL),
        image("2", "same", PNEUMONIA),
        image("3", "same", NORMAL),
    ]
    divided, left_out = divide([*contradicting, image("4", "own")], PLAN)
    assert sum(map(len, divided.values())) == 1
    assert left_out == [
        LeftOut(one.file.path, "same bytes under both labels") for one in contradicting
    ]
