import hashlib
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.grad_cam import cases
from components.grad_cam.cases import Outcome, Reason, ScoredCase

THRESHOLD = 0.4


def case(name: str, label: int, probability: float, dataset: str = "pediatric") -> ScoredCase:
    return ScoredCase(
        sha256=hashlib.sha256(name.encode()).hexdigest(),
        filename=f"{name}.png",
        dataset=dataset,
        label=label,
        probability=probability,
        decision=int(probability >= THRESHOLD),
    )


def select(scored, count, seed=0):
    return cases.select_cases(scored, cases=count, threshold=THRESHOLD, seed=seed)


def names(selected, reason=None):
    return [x.case.filename[:-4] for x in selected if reason in (None, x.reason)]


def test_outcomes():
    assert case("a", 1, 0.9).outcome is Outcome.TRUE_POSITIVE
    assert case("a", 1, 0.1).outcome is Outcome.FALSE_NEGATIVE
    assert case("a", 0, 0.9).outcome is Outcome.FALSE_POSITIVE
    assert case("a", 0, 0.1).outcome is Outcome.TRUE_NEGATIVE


def test_each_group_gives_its_most_telling_case_first():
    scored = [
        case("missed badly", 1, 0.01),
        case("missed", 1, 0.1),
        case("alarm", 0, 0.8),
        case("loud alarm", 0, 0.99),
        case("near", 1, 0.45),
        case("nearest", 0, 0.41),
        case("found", 1, 0.9),
        case("found well", 1, 0.999),
        case("cleared", 0, 0.1),
        case("cleared well", 0, 0.001),
    ]

    assert [(x.case.filename[:-4], x.reason) for x in select(scored, 5)] == [
        ("missed badly", Reason.MISSED),
        ("loud alarm", Reason.FALSE_ALARM),
        ("nearest", Reason.BORDERLINE),
        ("found well", Reason.FOUND),
        ("cleared well", Reason.CLEARED),
    ]


def test_errors_come_first_when_only_few_are_asked_for():
    scored = [case("found", 1, 0.9), case("cleared", 0, 0.1), case("missed", 1, 0.1)]

    assert names(select(scored, 1)) == ["missed"]


def test_a_case_far_from_the_threshold_is_not_called_borderline():
    scored = [case(f"found {i}", 1, 0.9 + i / 100) for i in range(9)]

    assert {x.reason for x in select(scored, 9)} == {Reason.FOUND}


def test_datasets_take_turns_within_a_group():
    scored = [case(f"p{i}", 1, 0.9 + i / 1000) for i in range(20)]
    scored += [case(f"n{i}", 1, 0.7 + i / 1000, "nih") for i in range(20)]

    chosen = select(scored, 6)

    assert names(chosen) == ["p19", "n19", "p18", "n18", "p17", "n17"]


def test_datasets_are_balanced_over_groups_too():
    # One of each group: without the overall count all would be pediatric.
    scored = [
        case(f"{dataset} {label} {probability}", label, probability, dataset)
        for dataset, shift in (("pediatric", 0.01), ("nih", 0.02))
        for label in (0, 1)
        for probability in (shift, 1 - shift)
    ]

    datasets = [x.case.dataset for x in select(scored, 4)]

    assert sorted(datasets) == ["nih", "nih", "pediatric", "pediatric"]


def test_fewer_films_than_cases():
    scored = [case("found", 1, 0.9), case("cleared", 0, 0.1)]

    assert sorted(names(select(scored, 12))) == ["cleared", "found"]


@pytest.mark.parametrize("label", [0, 1])
def test_a_split_with_one_class(label):
    scored = [case(f"{i}", label, i / 50) for i in range(1, 50)]

    chosen = select(scored, 12)

    assert len(chosen) == 12
    assert {x.case.label for x in chosen} == {label}
    assert len({x.reason for x in chosen}) == 3


def test_a_file_that_occurs_twice_is_shown_once():
    once = case("a", 1, 0.9)
    twin = ScoredCase(**{**vars(once), "filename": "twin of a.png"})

    assert names(select([twin, once], 12)) == ["a"]


def test_ties_are_drawn_by_the_seed_and_nothing_else():
    scored = [case(f"{i}", 1, 1.0) for i in range(50)]
    shuffled = random.Random(1).sample(scored, len(scored))

    assert select(scored, 5, seed=1) == select(shuffled, 5, seed=1)
    assert select(scored, 5, seed=1) != select(scored, 5, seed=2)


def test_an_extreme_threshold_is_no_error():
    chosen = cases.select_cases([case("a", 1, 1.0)], cases=1, threshold=1.0, seed=0)

    assert chosen[0].reason is Reason.BORDERLINE


@given(
    st.lists(
        st.tuples(
            st.integers(0, 1), st.floats(0, 1), st.sampled_from(["pediatric", "nih", "clinic"])
        ),
        max_size=30,
    ),
    st.integers(1, 20),
)
def test_exactly_as_many_as_asked_for_and_none_twice(films, count):
    scored = [case(f"{i}", *film) for i, film in enumerate(films)]

    chosen = select(scored, count)

    assert len(chosen) == min(count, len(scored))
    assert len({x.case.sha256 for x in chosen}) == len(chosen)
    order = [list(Reason).index(x.reason) for x in chosen]
    assert order == sorted(order)


def test_counts_add_up_by_dataset():
    scored = [case("a", 1, 0.9), case("b", 1, 0.1), case("c", 0, 0.9, "nih"), case("d", 1, 0.8)]

    counts = cases.count_outcomes(scored)

    assert list(counts) == ["nih", "pediatric"]
    assert counts["pediatric"] == {
        Outcome.FALSE_NEGATIVE: 1,
        Outcome.FALSE_POSITIVE: 0,
        Outcome.TRUE_POSITIVE: 2,
        Outcome.TRUE_NEGATIVE: 0,
    }
    assert sum(counts["nih"].values()) == 1
