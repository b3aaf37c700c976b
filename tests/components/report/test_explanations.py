"""What the pages say of the heat maps."""

from __future__ import annotations

import pytest

from components.explanation_probe.measures import Measures
from components.report import dashboard, explanations, model_card
from components.report.figures import Figures
from tests.components.report import samples
from tests.components.report.test_dashboard import text_of


@pytest.fixture(scope="module")
def figures() -> Figures:
    return samples.figures({"pediatric": 120, "nih": 200})


def found(figures: Figures) -> Measures:
    assert figures.measures is not None
    return figures.measures


def test_model_and_floors_are_told_in_numbers(figures: Figures) -> None:
    said = " ".join(explanations.sentences(found(figures)))
    assert "Grad-CAM maps of 7 by 7 cells" in said
    assert "never from a box" in said
    assert "24 films of 24 patients" in said
    assert "0.710 (0.630 to 0.790)" in said
    assert "where most other patients have boxes hits" in said
    assert "+0.310 (+0.250 to +0.370), better than no look at the film" in said
    assert "pediatric has no boxes" in said


def test_both_pages_have_the_table_the_verdict_and_the_limits(figures: Figures) -> None:
    page = dashboard.render_html(figures)
    said, card = text_of(page), model_card.render_markdown(figures)
    for one in (said, card):
        assert "Lift over the best" in one
        assert "with all layers randomised, maps are others." in one
        assert "What this does not show" in one
    assert 'href="#explanations"' in page
    assert "Heat and boxes" in said
    assert "Deletion and insertion" in said
    assert "hottest first" in said


@pytest.mark.parametrize(
    ("lift", "verdict"),
    [
        (0.2, "better than no look"),
        (0.0, "not shown to be better than no look"),
        (-0.2, "worse than no look"),
    ],
)
def test_the_interval_of_the_lift_decides_about_the_words(
    figures: Figures, lift: float, verdict: str
) -> None:
    measures = found(figures)
    (one,) = measures.localisation
    pointing = one.measures[0].model_copy(update={"lift": samples.interval(lift, 0.05)})
    changed = one.model_copy(update={"measures": (pointing,)})
    said = list(explanations.sentences(measures.model_copy(update={"localisation": (changed,)})))
    assert f", {verdict} at the film" in said[1]


def test_few_films_and_none_are_said() -> None:
    several = samples.figures({"nih": 200}, outputs=samples.FINDINGS)
    measures = found(several)
    few = next(one for one in measures.localisation if one.finding == "Mass")
    assert few.few
    said = "\n".join(explanations.sentences(measures))
    assert said.count("So few films support no claim.") == 1
    nothing = few.model_copy(update={"films": 0, "measures": (), "unmeasured": "none has boxes"})
    bare = measures.model_copy(update={"localisation": (nothing,)})
    assert "not measured, since none has boxes" in " ".join(explanations.sentences(bare))
    page = dashboard.render_html(several.model_copy(update={"measures": bare}))
    assert "Heat and boxes" not in text_of(page)


def test_a_run_without_measures_has_no_such_section(figures: Figures) -> None:
    without = figures.model_copy(update={"measures": None})
    assert "#explanations" not in dashboard.render_html(without)
    assert "How good they are was not measured" in model_card.render_markdown(without)


def test_a_model_that_takes_blur_for_the_finding_is_told_of(figures: Figures) -> None:
    measures = found(figures)
    assert "nothing but blur" not in " ".join(explanations.sentences(measures))
    (one,) = measures.faithfulness
    rising = one.model_copy(update={"deletion": {"heat": (0.9, 0.95, 0.99)}})
    blind = measures.model_copy(update={"faithfulness": (rising,)})
    assert "that are nothing but blur have a mean probability of 0.990" in " ".join(
        explanations.sentences(blind)
    )
