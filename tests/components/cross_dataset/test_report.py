"""The matrix as a page and as a table."""

from __future__ import annotations

import html
import re

import numpy as np
import pytest

from components.cross_dataset import report
from components.cross_dataset.matrix import Matrix, Row, measure_cell, pool
from components.disclaimer import DISCLAIMER

LABELS = np.array([1, 1, 1, 0, 0, 0])
RIGHT = np.array([0.9, 0.8, 0.4, 0.5, 0.2, 0.1], np.float32)
PATIENTS = [str(number) for number in range(6)]


def cell(dataset, probabilities=RIGHT, labels=LABELS):
    return measure_cell(dataset, labels, probabilities, PATIENTS, 0.45)


def row(*trained_on, **found):
    facts = {"images": 200, "positives": 50, "validation_images": 40} | found
    return Row(trained_on=trained_on, **facts)


def make_matrix(**changes):
    learnt = {"threshold": 0.45, "chosen_by": "sensitivity 0.9 on validation"}
    twelve = np.concatenate([LABELS, LABELS])
    values = {
        "split": "test",
        "datasets": ("nih", "pediatric"),
        "rows": (
            row("nih", cells=(cell("nih"), cell("pediatric", 1 - RIGHT)), **learnt),
            row("pediatric", untrained="all 9 images are <normal>"),
            row("nih", "pediatric", cells=(cell("nih"), cell("pediatric")), **learnt),
        ),
        "pooled": pool(
            ["nih"] * 6 + ["pediatric"] * 6,
            twelve,
            np.concatenate([RIGHT, RIGHT]),
            {"nih": 0.25, "pediatric": 0.75},
        ),
        "settings": {"seed": 7, "backbone": "DenseNet121", "weights": "none"},
    }
    return Matrix(**values | changes)


def words(page):
    text = re.sub(r"<[^>]*>", " ", re.sub(r"(?s)<style>.*?</style>", "", page))
    return " ".join(html.unescape(text).split())


def test_the_page_shows_every_cell_with_its_interval():
    matrix = make_matrix()
    page = report.render_html(matrix)
    text = words(page)

    for one in matrix.rows[0].cells:
        assert f"{one.auc.estimate:.3f} {one.auc.lower:.3f} to {one.auc.upper:.3f}" in text
    assert text.count("not trained on pediatric") == 1
    assert "decides from a probability of 0.450 on: sensitivity 0.9 on validation" in text
    assert "200 images, 25.0 % with pneumonia" in text
    assert "seed 7" in text
    assert DISCLAIMER in text
    assert "://" not in page


def test_strings_are_escaped():
    page = report.render_html(make_matrix())

    assert "<normal>" not in page
    assert "No head: all 9 images are &lt;normal&gt;" in page


@pytest.mark.parametrize("render", [report.render_html, report.render_markdown])
def test_the_pooled_figure_is_never_alone(render):
    matrix = make_matrix()
    with_pooled = words(render(matrix))
    without = words(render(make_matrix(pooled=None)))

    sentence = report.pooled_sentence(matrix)
    assert sentence in with_pooled
    assert f"the head of all datasets has AUC {matrix.pooled.auc}" in sentence
    assert f"has {matrix.pooled.dataset_identity}" in sentence
    assert "0.250 for nih, 0.750 for pediatric" in sentence
    assert "There is no pooled figure" in without
    assert "Pooled" not in without


def test_the_table_has_a_line_for_each_cell():
    lines = report.render_markdown(make_matrix()).splitlines()
    table = [line for line in lines if line.startswith("|")]

    assert len({line.count("|") for line in table}) == 1
    assert len(table) == 2 + 2 + 1 + 2
    assert table[2].startswith("| nih | 200 (50) | nih | 6 (3) | 0.889 (")
    assert "| pediatric | 200 (50) | no head: all 9 images" in table[4]


def test_what_is_undefined_is_a_dash():
    one_class = cell("pediatric", labels=np.ones(6, int))
    rows = (row("nih", cells=(cell("nih"), one_class), threshold=0.45, chosen_by="x"),)
    matrix = make_matrix(rows=rows)

    line = report.render_markdown(matrix).splitlines()[3]
    assert line.startswith("| nih | 200 (50) | pediatric | 6 (6) | – | 0.500 (")
    assert "specificity –" in words(report.render_html(matrix))
