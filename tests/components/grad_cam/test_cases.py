import hashlib
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.grad_cam import cases
from components.grad_cam.cases import Outcome, Rule, ScoredCase

THRESHOLD = 0.4
CHOSEN = (
    Rule.FALSE_NEGATIVE,
    Rule.FALSE_POSITIVE,
    Rule.BORDERLINE,
    Rule.TRUE_POSITIVE,
    Rule.TRUE_NEGATIVE,
)


def case(name: str, label: int, probability: float, **features: str) -> ScoredCase:
    return ScoredCase(
        sha256=hashlib.sha256(name.encode()).hexdigest(),
        filename=f"{name}.png",
        dataset="pediatric",
        label=label,
        probability=probability,
        decision=int(probability >= THRESHOLD),
        features=features,
    )


def select(scored, count=1, limit=100, seed=0, **changes):
    rules = dict.fromkeys(CHOSEN, count)
    return cases.select_cases(
        scored, **{"rules": rules, "cases": limit, "threshold": THRESHOLD, "seed": seed} | changes
    )


def names(selected, rule=None):
    return [x.case.filename[:-4] for x in selected if rule in (None, x.rule)]


def test_outcomes():
    assert case("a", 1, 0.9).outcome is Outcome.TRUE_POSITIVE
    assert case("a", 1, 0.1).outcome is Outcome.FALSE_NEGATIVE
    assert case("a", 0, 0.9).outcome is Outcome.FALSE_POSITIVE
    assert case("a", 0, 0.1).outcome is Outcome.TRUE_NEGATIVE


def test_each_rule_takes_its_most_telling_case():
    scored = [
        case("missed badly", 1, 0.01),
        case("missed", 1, 0.1),
        case("alarm", 0, 0.8),
        case("loud alarm", 0, 0.99),
        case("near", 1, 0.45),
        case("nearest", 0, 0.41),
        case("found", 1, 0.8),
        case("surely found", 1, 0.99),
        case("cleared", 0, 0.1),
        case("surely cleared", 0, 0.01),
    ]

    selected = select(scored)

    assert [x.rule for x in selected] == list(CHOSEN)
    assert names(selected) == [
        "missed badly",
        "loud alarm",
        "nearest",
        "surely found",
        "surely cleared",
    ]
    assert selected[0].reason == "a missed case, among the furthest below the threshold"


def test_rules_have_counts_of_their_own():
    scored = [case(f"{label} {n}", label, 0.5 + n / 25) for n in range(5, 10) for label in (0, 1)]

    selected = select(scored, rules={Rule.FALSE_POSITIVE: 3, Rule.TRUE_POSITIVE: 1})

    assert names(selected, Rule.FALSE_POSITIVE) == ["0 9", "0 8", "0 7"]
    assert names(selected, Rule.TRUE_POSITIVE) == ["1 9"]
    assert len(selected) == 4


def test_rules_are_applied_again_to_every_slice():
    scored = [
        case("f surer", 0, 0.99, sex="F"),
        case("f sure", 0, 0.98, sex="F"),
        case("f", 0, 0.97, sex="F"),
        case("m", 0, 0.9, sex="M"),
        case("unknown", 0, 0.95),
    ]

    selected = select(scored, slices=("sex",))

    assert names(selected) == ["f surer", "m"]
    assert selected[0].slice is None
    assert selected[1].reason.endswith("above the threshold (sex M)")


def test_a_feature_with_one_value_makes_no_slice():
    scored = [case(f"{n}", 0, 0.9 + n / 100, dataset="nih") for n in range(3)]

    assert len(select(scored, slices=("dataset",))) == 1


def test_a_limit_cuts_all_rules_alike():
    scored = [case(f"{label} {n}", label, 0.45 + n / 50) for n in range(20) for label in (0, 1)]

    selected = select(scored, count=10, limit=6)

    assert names(selected, Rule.FALSE_POSITIVE) == ["0 19", "0 18"]
    assert len(names(selected, Rule.TRUE_POSITIVE)) == 2
    assert len(names(selected, Rule.BORDERLINE)) == 2


def test_named_films_come_first_and_beyond_the_limit():
    scored = [case(f"{n}", 0, 0.5 + n / 50) for n in range(20)]

    selected = select(scored, limit=1, named=["3.png", "7.png", "none.png"])

    assert names(selected, Rule.NAMED) == ["3", "7"]
    assert names(selected, Rule.FALSE_POSITIVE) == ["19"]
    assert cases.not_found(scored, ["none.png", "3.png"]) == ["none.png"]


def test_a_name_finds_its_film_among_copies():
    one = case("a", 1, 0.9)
    copy = ScoredCase(**{**vars(one), "filename": "b.png"})

    assert names(select([one, copy], named=["b.png"])) == ["b"]
    assert names(select([one, copy])) == ["a"]
    assert names(select([copy, one])) == ["a"]


def test_all_films_are_shown_if_asked_for():
    scored = [case(f"{n}", n % 2, 0.5 + n / 100) for n in range(30)]

    selected = select(scored, limit=None)

    assert sorted(names(selected)) == sorted(str(n) for n in range(30))
    assert selected[0].rule is Rule.FALSE_POSITIVE
    assert selected[-1].reason == "every film was asked for"


def test_equals_are_drawn_by_the_seed():
    scored = [case(f"{n}", 1, 1.0) for n in range(50)]

    chosen = {tuple(names(select(scored, seed=seed))) for seed in range(10)}

    assert len(chosen) > 3


def test_the_threshold_itself_is_borderline():
    scored = [case("at", 1, THRESHOLD), case("far", 1, 0.9)]

    assert names(select(scored, rules={Rule.BORDERLINE: 5})) == ["at"]


def test_counts_are_those_of_all_films():
    scored = [case("a", 1, 0.9), case("b", 1, 0.1), case("c", 0, 0.1)]

    assert cases.count_outcomes(scored)["pediatric"] == {
        Outcome.FALSE_NEGATIVE: 1,
        Outcome.FALSE_POSITIVE: 0,
        Outcome.TRUE_POSITIVE: 1,
        Outcome.TRUE_NEGATIVE: 1,
    }


@pytest.mark.parametrize("probability", [0.0, 1.0])
def test_log_odds_are_finite(probability):
    assert abs(cases.log_odds(probability)) < 30


films = st.lists(
    st.builds(
        case,
        name=st.sampled_from([f"film {n}" for n in range(12)]),
        label=st.integers(0, 1),
        probability=st.sampled_from([0.0, 0.1, 0.3, 0.4, 0.5, 0.9, 1.0]),
        sex=st.sampled_from(["F", "M"]),
    ),
    max_size=30,
    unique_by=lambda one: one.filename,
)


@given(films, st.integers(0, 4), st.integers(1, 30), st.randoms(use_true_random=False))
def test_the_choice(scored, count, limit, shuffler: random.Random):
    selected = select(scored, count, limit, slices=("sex",), named=["film 3.png"])

    digests = [x.case.sha256 for x in selected]
    assert len(digests) == len(set(digests)), "each film once"
    by_rule = [x for x in selected if x.rule is not Rule.NAMED]
    assert len(by_rule) <= limit
    assert len(by_rule) <= 5 * 3 * count
    for x in by_rule:
        assert x.slice is None or x.case.features[x.slice[0]] == x.slice[1]
        if x.rule is not Rule.BORDERLINE:
            assert x.case.outcome.value == x.rule.value.replace("_", " ")

    shuffled = list(scored)
    shuffler.shuffle(shuffled)
    assert select(shuffled, count, limit, slices=("sex",), named=["film 3.png"]) == selected


@given(films, st.integers(1, 3))
def test_without_a_limit_no_more_confident_error_is_left_out(scored, count):
    shown = {x.case.sha256 for x in select(scored, count, slices=("sex",))}

    for sex in ("F", "M"):
        missed = sorted(
            x.probability
            for x in scored
            if x.outcome is Outcome.FALSE_NEGATIVE and x.features["sex"] == sex
        )
        found = sorted(
            x.probability
            for x in scored
            if x.outcome is Outcome.FALSE_NEGATIVE
            and x.features["sex"] == sex
            and x.sha256 in shown
        )
        assert found[:count] == missed[:count]
