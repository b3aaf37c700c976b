"""Heads on made-up embeddings of two datasets."""

from __future__ import annotations

import dataclasses
import logging
import tempfile
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from components.cross_dataset.heads import measure, train_heads
from components.cross_dataset.matrix import Cell, Matrix
from components.errors import InputError
from components.trainer.batches import Split, in_memory
from components.trainer.calibration_error import expected_calibration_error
from components.trainer.imbalance import balance
from components.trainer.outputs import fit_outputs
from components.trainer.preparation import Prepared
from components.trainer.training import Workplace, predict_logits, train_head
from tests.components.cross_dataset.samples import FEATURES, make_settings, prepare, spread

SETTINGS = make_settings()
ALONG = np.eye(FEATURES) * 3
# What speaks for pneumonia in one dataset speaks against it in the other, which has, too, what
# says nothing in the first.
DIRECTIONS = {"nih": ALONG[0], "pediatric": 3 * ALONG[1] - ALONG[0]}
TEST = {"nih": spread(90, 30), "pediatric": spread(70, 50)}


def splits(**changes):
    labels = {
        "train": {"nih": spread(120, 30), "pediatric": spread(100, 75)},
        "validation": {"nih": spread(60, 20), "pediatric": spread(60, 40)},
        "test": TEST,
    } | changes
    return {name: prepare(own, DIRECTIONS, seed) for seed, (name, own) in enumerate(labels.items())}


def cells(matrix: Matrix) -> dict[tuple[tuple[str, ...], str], Cell]:
    return {(row.trained_on, one.tested_on): one for row in matrix.rows for one in row.cells}


@pytest.fixture(scope="module")
def matrix():
    return train_heads(**splits(), settings=SETTINGS)


def test_a_head_knows_the_dataset_it_learnt_from_and_not_the_other(matrix):
    found = {where: cell.auc for where, cell in cells(matrix).items()}

    assert found[("nih",), "nih"].estimate > 0.9
    assert found[("pediatric",), "pediatric"].estimate > 0.9
    # What means the opposite is told the wrong way round.
    assert found[("nih",), "pediatric"].estimate < 0.2
    assert found[("nih",), "pediatric"].upper < 0.5
    assert found[("pediatric",), "nih"].estimate < 0.4
    # The head of both has both signals.
    assert found[("nih", "pediatric"), "nih"].estimate > 0.9
    assert found[("nih", "pediatric"), "pediatric"].estimate > 0.9


def test_counts_add_up(matrix):
    assert matrix.datasets == ("nih", "pediatric")
    assert [
        (row.trained_on, row.images, row.positives, row.validation_images) for row in matrix.rows
    ] == [
        (("nih",), 120, 30, 60),
        (("pediatric",), 100, 75, 60),
        (("nih", "pediatric"), 220, 105, 120),
    ]
    for (_, dataset), cell in cells(matrix).items():
        assert (cell.n, cell.positives) == (len(TEST[dataset]), sum(TEST[dataset]))
        assert cell.n / 2 <= cell.patients <= cell.n
    assert (matrix.pooled.n, matrix.pooled.positives) == (160, 80)


def test_the_operating_point_and_the_calibration_are_of_the_datasets_that_were_trained_on(
    matrix,
):
    given = splits()
    row = matrix.rows[0]
    # The same head, on splits from which the other dataset was taken out beforehand.
    only = {name: _only_nih(split) for name, split in given.items()}
    logits, threshold, calibration = _by_hand(only["train"], only["validation"], only["test"])
    labels = only["test"].index.labels[:, 0].astype(int)
    probabilities = calibration(logits)
    cell = row.cells[0]
    assert row.threshold == threshold
    assert row.chosen_by == "sensitivity 0.9 on validation"
    assert cell.auc.estimate == pytest.approx(roc_auc_score(labels, probabilities))
    decided = probabilities >= threshold
    assert cell.sensitivity.estimate == pytest.approx(decided[labels == 1].mean())
    assert cell.specificity.estimate == pytest.approx(1 - decided[labels == 0].mean())
    assert cell.ece == pytest.approx(expected_calibration_error(probabilities, labels))


def test_the_head_of_all_is_the_one_that_the_trainer_trains(matrix):
    given = splits()
    logits, threshold, calibration = _by_hand(**given)

    assert matrix.rows[-1].threshold == threshold
    labels = given["test"].index.labels[:, 0]
    assert matrix.pooled.auc.estimate == pytest.approx(roc_auc_score(labels, calibration(logits)))


def test_the_pooled_figure_stands_beside_the_prevalences_of_training(matrix):
    pooled = matrix.pooled

    assert pooled.prevalence == {"nih": 30 / 120, "pediatric": 75 / 100}
    # Of a positive and a negative test image: which is of pediatric, where one is and the other
    # is not; equal scores are a half.
    positive, negative = {"nih": 30, "pediatric": 50}, {"nih": 60, "pediatric": 20}
    ahead = positive["pediatric"] * negative["nih"]
    ties = sum(positive[name] * negative[name] for name in positive)
    identity = (ahead + ties / 2) / (80 * 80)
    assert pooled.dataset_identity.estimate == pytest.approx(identity)
    assert pooled.lift.estimate == pytest.approx(pooled.auc.estimate - identity)


def test_altered_views_are_those_of_the_own_images():
    # Of nih's images the views hold the signal alone; of the others', they turn it round.
    given = splits()
    train = given["train"]
    plain = train.embeddings.rows(np.arange(len(train.embeddings)), 0)
    nih = (np.array(train.index.datasets) == "nih")[:, None]
    views = np.where(nih, plain * 10, -plain * 10).astype(np.float32)
    spoilt = Prepared(
        train.index, Split(in_memory([plain, views]), train.embeddings.labels, 1), None
    )
    found = cells(train_heads(**given | {"train": spoilt}, settings=SETTINGS))

    assert found[("nih",), "nih"].auc.estimate > 0.9


def test_what_nothing_can_be_learnt_from_has_a_row_that_says_why(caplog):
    train = {
        "sound": spread(40, 10),
        "one class": spread(50, 50),
        "not validated": spread(40, 20),
    }
    validation = {"sound": spread(30, 10), "one class": spread(30, 10)}
    test = {"sound": spread(20, 5), "test only": spread(25, 5)}
    directions = dict.fromkeys([*train, *test], ALONG[0])
    with caplog.at_level(logging.WARNING, "cxr.progress"):
        matrix = train_heads(
            train=prepare(train, directions, 1),
            validation=prepare(validation, directions, 2),
            test=prepare(test, directions, 3),
            settings=make_settings(epochs=1),
        )

    not_validated, one_class, sound, everything = matrix.rows
    assert not_validated.untrained == "there is no image of it in the val split"
    assert "all 50 images to train on are with pneumonia" in one_class.untrained
    assert "no head is trained on one class: all 50 images" in caplog.text
    assert one_class.cells == ()
    assert one_class.threshold is None
    for row in (sound, everything):
        assert row.untrained is None
        assert {cell.tested_on: cell.n for cell in row.cells} == {
            "not validated": 0,
            "one class": 0,
            "sound": 20,
            "test only": 25,
        }
    # Of what is tested on alone, no prevalence was learnt; and one dataset is no pool.
    assert matrix.pooled is None


def test_one_dataset_is_refused():
    one = {"nih": spread(20, 10)}
    with pytest.raises(InputError, match="all images to train on are of nih"):
        train_heads(**splits(train=one), settings=SETTINGS)


def test_several_findings_are_refused():
    config = {"labels": "findings", "image_size": 64, "preprocessing": "x"}
    with pytest.raises(InputError, match=r"data\.labels=findings"):
        measure(SETTINGS, config, "nowhere", "nowhere")


def _only_nih(split: Prepared) -> Prepared:
    here = np.flatnonzero(np.array(split.index.datasets) == "nih")
    labels = split.index.labels[here]
    index = dataclasses.replace(
        split.index,
        sha256=[split.index.sha256[i] for i in here],
        labels=labels,
        patients=[split.index.patients[i] for i in here],
        datasets=["nih"] * len(here),
    )
    return Prepared(index, Split(in_memory([split.embeddings.rows(here, 0)]), labels), None)


def _by_hand(train: Prepared, validation: Prepared, test: Prepared):
    """Logits of the test images, and what validation says of them."""
    imbalance = balance(train.index.labels, ["pneumonia"], SETTINGS)
    with tempfile.TemporaryDirectory() as folder:
        place = Workplace(Path(folder), Path(folder) / "logs")
        head, _ = train_head(train.embeddings, validation.embeddings, imbalance, SETTINGS, place)
    (output,) = fit_outputs(
        ["pneumonia"],
        predict_logits(head, validation.embeddings),
        validation.index.labels.astype(np.int64),
        SETTINGS,
        prior_shift=imbalance.prior_shift,
        patients=validation.index.patients,
    )
    logits = predict_logits(head, test.embeddings)[:, 0]
    return logits, output.operating_point.threshold, output.calibration
