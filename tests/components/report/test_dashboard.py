"""report.html."""

from __future__ import annotations

import html
import re

import pytest

from components.disclaimer import DISCLAIMER
from components.report import dashboard, tables
from components.report.figures import Figures
from tests.components.report import samples


def text_of(page: str) -> str:
    """What a reader sees, on one line."""
    body = re.sub(r"<(style|script)\b.*?</\1>", " ", page, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())


@pytest.fixture(scope="module")
def one() -> Figures:
    return samples.figures(with_last=True, etiologies=("bacteria", samples.MALICIOUS))


@pytest.fixture(scope="module")
def page(one: Figures) -> str:
    return dashboard.render_html(one, files={"tfma.html": "TFMA"})


@pytest.fixture(scope="module")
def pooled() -> str:
    return dashboard.render_html(samples.figures({"pediatric": 150, "nih": 250}))


@pytest.fixture(scope="module")
def multi() -> str:
    return dashboard.render_html(samples.figures({"nih": 300}, outputs=samples.FINDINGS))


def test_the_verdict_and_every_gate_are_told_in_words_and_symbols(one: Figures, page: str) -> None:
    said = text_of(page)
    assert "✕ Refused by shortcut (pediatric)" in said
    for gate, mark in zip(
        one.judgement.gates, ("✓ Passed", "✕ Refused", "○ Not judged"), strict=True
    ):
        assert f"{mark} {gate.name} {gate.sentence}" in said


def test_a_blessed_model_is_called_so() -> None:
    blessed = samples.figures({"pediatric": 60}, blessed=True)
    assert "✓ Blessed" in text_of(dashboard.render_html(blessed))


def test_report_only_names_what_would_have_refused() -> None:
    judgement = samples.judgement(samples.scores({"pediatric": 60}), report_only=True)
    judgement = judgement.model_copy(update={"blessed": True})
    assert dashboard.verdict(judgement) == "Blessed: the gates only report, and 1 refused"


def test_the_disclaimer_is_always_in_sight(page: str) -> None:
    assert f'<p class="notice" role="note">{DISCLAIMER}</p>' in page


def test_every_plot_has_a_table_of_its_numbers(page: str) -> None:
    plots = re.findall(r'<figure class="exhibit.*?</figure>', page, re.DOTALL)
    assert len(plots) >= 7
    assert all("<svg" in one and "<table" in one for one in plots)


def test_the_figures_are_those_of_the_judgement(one: Figures, page: str) -> None:
    said = text_of(page)
    (headline,) = one.headlines()
    performance = headline.findings[0]
    for value in (performance.auc, performance.sensitivity, performance.ppv, performance.ece):
        assert str(value) in said
    for baseline in one.judgement.baselines:
        assert tables.signed(baseline.lift) in said


def test_a_slice_of_one_class_has_no_auc_but_its_sensitivity(one: Figures, page: str) -> None:
    (bacteria,) = [s for s in one.slices() if s.slice.get("etiology") == "bacteria"]
    assert bacteria.findings[0].auc is None
    rows = {row[0]: row for row in tables.slices(one).rows}
    assert rows["etiology bacteria"][3:5] == ("–", str(bacteria.findings[0].sensitivity))
    assert f"sensitivity {bacteria.findings[0].sensitivity}" in text_of(page)


def test_what_was_read_is_accounted_for(page: str) -> None:
    assert "pediatric 5,238 5,200 12 0 26 0 0 0" in text_of(page)


def test_lineage_names_data_code_weights_and_artifacts(page: str) -> None:
    said = text_of(page)
    for part in ("a" * 64, "Code of trainer 0123456789abcdef", "9ce7753aff728086", "artifact 20,"):
        assert part in said


def test_pooled_slices_are_marked_and_the_headline_is_by_dataset(pooled: str) -> None:
    said = text_of(pooled)
    assert "sex F (pooled)" in said
    assert "dataset nih (pooled)" not in said
    assert "all images" not in said
    assert "knowing nothing but which dataset an image is from gives 0.871" in said


def test_robustness_and_the_matrix_are_there_where_their_nodes_ran(page: str, pooled: str) -> None:
    assert 'id="matrix"' in pooled
    assert 'id="robustness"' in pooled
    assert "jpeg quality 3 nih 300 0.880 0.180" in text_of(pooled)
    assert 'id="matrix"' not in page
    assert 'id="robustness"' not in page


def test_several_findings_have_a_table_and_small_multiples(multi: str) -> None:
    said = text_of(multi)
    assert said.count("AUC of each finding, nih") >= 1
    assert len(re.findall(r'<figure class="exhibit', multi)) < len(samples.FINDINGS)
    assert all(name.replace("_", " ") in said for name in samples.FINDINGS)


def test_a_run_without_history_has_no_curves(one: Figures) -> None:
    assert 'id="training"' not in dashboard.render_html(one.model_copy(update={"history": {}}))


def test_ids_are_unique(pooled: str) -> None:
    ids = re.findall(r'\bid="([^"]+)"', pooled)
    assert len(ids) == len(set(ids))


def test_names_out_of_the_data_are_escaped(page: str) -> None:
    assert "<img" not in page
    assert "etiology &lt;img src=x onerror=" in page


def test_nothing_is_fetched_and_only_the_own_script_runs(page: str) -> None:
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)
    assert policy is not None
    assert policy[1].startswith("default-src 'none'")
    assert page.count("<script") == 1
    urls = set(re.findall(r"https?://[^\"' )]+", page))
    assert urls <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
