"""The model card."""

from __future__ import annotations

import pytest

from components.disclaimer import DISCLAIMER
from components.report import model_card
from components.report.figures import Figures
from tests.components.report import samples


@pytest.fixture(scope="module")
def figures() -> Figures:
    return samples.figures(with_last=True, etiologies=("bacteria", samples.MALICIOUS, "a|b"))


@pytest.fixture(scope="module")
def card(figures: Figures) -> str:
    return model_card.render_markdown(figures)


def test_it_has_the_sections_of_the_paper(card: str) -> None:
    headings = [line[3:] for line in card.splitlines() if line.startswith("## ")]
    assert headings == [
        "Model details",
        "Intended use and limits",
        "Factors",
        "Metrics",
        "Data",
        "Quantitative analyses",
        "Explanations",
        "Ethical considerations",
        "Caveats and recommendations",
        "Versions and lineage",
    ]
    assert DISCLAIMER in card


def test_figures_are_those_of_the_artifacts(figures: Figures, card: str) -> None:
    performance = figures.headlines()[0].findings[0]
    point = figures.contract["outputs"][0]["operating_point"]
    assert f"| AUC, by image | {performance.auc} |" in card
    assert f"| {point['threshold']:.4f} | {point['chosen_by']} |" in card
    for one in figures.slices():
        assert f"| {one.n:,} | {one.findings[0].positives:,} |" in card
    assert figures.contract["weights_sha256"] in card
    assert "Heat maps of 12 of 689 test images" in card


def test_it_warns_of_random_weights(card: str) -> None:
    assert "The backbone had random weights" in card


def test_names_out_of_the_data_are_no_markup(card: str) -> None:
    assert "\\<img src=x" in card
    assert " <img" not in card
    assert "etiology a\\|b" in card
    rows = [line for line in card.splitlines() if line.startswith("| etiology")]
    assert len({line.replace("\\|", "").count("|") for line in rows}) == 1


def test_the_page_says_the_same_escaped(figures: Figures) -> None:
    page = model_card.render_html(figures)
    assert str(figures.headlines()[0].findings[0].auc) in page
    assert "<img" not in page
    assert "&lt;img src=x" in page


def test_several_findings_have_a_row_each() -> None:
    card = model_card.render_markdown(samples.figures({"nih": 200}, outputs=samples.FINDINGS))
    for name in samples.FINDINGS:
        assert f"\n| {name.replace('_', ' ')} |" in card
