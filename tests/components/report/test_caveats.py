"""What a reader must know before the figures are believed."""

from __future__ import annotations

from components.report.caveats import caveats
from tests.components.report import samples


def test_random_weights_are_told() -> None:
    assert "The backbone had random weights: only its head has learnt." in caveats(
        samples.figures()
    )

    trained = samples.figures().model_copy(
        update={"contract": samples.contract(weights="imagenet")}
    )
    assert not any("random weights" in one for one in caveats(trained))


def test_a_model_that_is_no_better_than_a_trivial_one_is_told_so_with_the_numbers() -> None:
    figures = samples.figures()
    (best, *_) = figures.judgement.baselines
    equal = best.model_copy(update={"lift": samples.interval(0.002, 0.01)})
    judgement = figures.judgement.model_copy(update={"baselines": (equal,)})

    said = caveats(figures.model_copy(update={"judgement": judgement}))

    assert any(
        "16x16 thumbnails" in one and str(best.auc) in one and "+0.002 (-0.008 to +0.012)" in one
        for one in said
    )
    assert not any("trivial" in one for one in caveats(figures))


def test_few_positives_are_told_with_their_number() -> None:
    few = samples.figures({"nih": 60})
    positives = few.headlines()[0].findings[0].positives
    assert positives < 30

    assert any(f"pneumonia ({positives})" in one for one in caveats(few))
    assert not any("fewer than" in one for one in caveats(samples.figures({"pediatric": 200})))


def test_pooled_figures_are_warned_of_where_there_are_any() -> None:
    assert any("pool nih and pediatric" in one
               for one in caveats(samples.figures({"pediatric": 90, "nih": 90})))  # fmt: skip
    assert not any("pool" in one for one in caveats(samples.figures()))


def test_fallbacks_are_told_with_their_reason() -> None:
    contract = samples.contract()
    contract["outputs"][0]["operating_point"] |= {
        "as_asked": False,
        "chosen_by": "a fixed threshold of 0.5, since validation has 3 positives",
    }
    said = caveats(samples.figures().model_copy(update={"contract": contract}))

    assert any("since validation has 3 positives" in one for one in said)
