"""What a head's probabilities amount to."""

from __future__ import annotations

import numpy as np
import pytest

from components.cross_dataset.matrix import Matrix, Row, measure_cell, pool

LABELS = np.array([1, 1, 0, 0, 0])
PROBABILITIES = np.array([0.9, 0.4, 0.5, 0.2, 0.1], np.float32)


def test_a_cell():
    cell = measure_cell("nih", LABELS, PROBABILITIES, ["a", "a", "b", "c", "c"], 0.5)

    assert (cell.tested_on, cell.n, cell.patients, cell.positives) == ("nih", 5, 3, 2)
    # Five of the six pairs are in order.
    assert cell.auc.estimate == pytest.approx(5 / 6)
    assert cell.auc.lower < 5 / 6 < cell.auc.upper
    # At the threshold is above it.
    assert cell.sensitivity.estimate == pytest.approx(1 / 2)
    assert cell.specificity.estimate == pytest.approx(2 / 3)
    assert cell.ece == pytest.approx((0.1 + 0.6 + 0.5 + 0.2 + 0.1) / 5)


@pytest.mark.parametrize(
    ("labels", "undefined"),
    [
        ([1, 1, 1, 1, 1], {"auc", "specificity"}),
        ([0, 0, 0, 0, 0], {"auc", "sensitivity"}),
        ([], {"auc", "sensitivity", "specificity", "ece"}),
    ],
)
def test_what_the_images_do_not_define_is_none(labels, undefined):
    patients = [str(number) for number in range(len(labels))]
    cell = measure_cell("nih", np.array(labels), PROBABILITIES[: len(labels)], patients, 0.5)

    assert {name for name, value in cell if value is None} == undefined


def test_a_head_that_only_knows_the_dataset_has_no_lift():
    datasets = ["a", "a", "a", "b", "b", "b"]
    labels = np.array([1, 1, 0, 1, 0, 0])
    pooled = pool(datasets, labels, np.repeat([0.7, 0.2], 3), {"a": 0.6, "b": 0.3})

    assert pooled.auc == pooled.dataset_identity
    # Of nine pairs four are in order and four are equal.
    assert pooled.auc.estimate == pytest.approx(6 / 9)
    assert pooled.lift.estimate == 0


def test_equal_prevalences_tell_nothing():
    pooled = pool(["a", "a", "b", "b"], LABELS[:4], PROBABILITIES[:4], {"a": 0.3, "b": 0.3})

    assert pooled.dataset_identity.estimate == 0.5


@pytest.mark.parametrize("labels", [[1, 1], [0, 0], []])
def test_images_of_one_class_have_no_pooled_figure(labels):
    datasets = ["a", "b"][: len(labels)]
    assert pool(datasets, np.array(labels), PROBABILITIES[: len(labels)], {"a": 1, "b": 0}) is None


def test_what_is_written_is_read_again():
    cell = measure_cell("nih", LABELS, PROBABILITIES, ["a", "b", "c", "d", "e"], 0.5)
    row = Row(trained_on=("nih",), images=4, positives=2, validation_images=3, cells=(cell,))
    pooled = pool(["a", "a", "b", "b", "b"], LABELS, PROBABILITIES, {"a": 0.5, "b": 0.2})
    matrix = Matrix(split="test", datasets=("nih",), rows=(row,), pooled=pooled, settings={})

    assert Matrix.model_validate_json(matrix.model_dump_json()) == matrix
