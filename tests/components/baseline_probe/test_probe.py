"""The regressions find what there is, and nothing where there is nothing."""

import dataclasses

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from components.baseline_probe import probe
from components.baseline_probe.features import BORDER, THUMBNAIL
from tests.components.baseline_probe.samples import make_split


def splits_of(train, val=None, test=None, **how):
    val, test = val or train, test or train
    return {
        name: make_split(seed, images, **how)
        for seed, (name, images) in enumerate([("train", train), ("val", val), ("test", test)])
    }


def test_a_signal_is_found_and_noise_is_not():
    splits = splits_of({"nih": 300})

    told, noise = (
        probe.auc(splits["test"].labels[:, 0], probe.run_probe(name, splits).scores["test"][:, 0])
        for name in (THUMBNAIL, BORDER)
    )

    assert told > 0.98
    assert 0.35 < noise < 0.65


def test_the_same_images_give_the_same_scores():
    splits = splits_of({"nih": 300})

    first, second = (probe.run_probe(THUMBNAIL, splits).scores["test"] for _ in range(2))

    np.testing.assert_array_equal(first, second)


def test_log_odds_are_those_of_the_training_images():
    split = make_split(1, {"nih": 3000})
    regression = probe.fit_regression(split.seen[BORDER], split.labels[:, 0])

    # What sees nothing says of every image how frequent the finding is: a third.
    share = 1 / (1 + np.exp(-regression(split.seen[BORDER])))
    assert share.mean() == pytest.approx(1 / 3, abs=0.01)


@pytest.mark.parametrize("labels", [np.zeros(5, np.int64), np.ones(5, np.int64), np.zeros(0, int)])
def test_one_class_gives_no_regression(labels):
    assert probe.fit_regression(np.zeros((len(labels), 2), np.float32), labels) is None


def test_a_constant_feature_does_no_harm():
    split = make_split(1, {"nih": 90})
    seen = split.seen[THUMBNAIL].copy()
    seen[:, 1] = 0.3

    scores = probe.fit_regression(seen, split.labels[:, 0])(seen)

    assert np.isfinite(scores).all()
    assert roc_auc_score(split.labels[:, 0], scores) > 0.98


# --- Several datasets ------------------------------------------------------------------------


def test_datasets_with_rules_of_their_own_get_regressions_of_their_own():
    splits = splits_of({"nih": 300, "pediatric": 300}, direction={"nih": -1.0})

    found = probe.run_probe(THUMBNAIL, splits)

    assert found.trained_on == {"nih": ("own",), "pediatric": ("own",)}
    for dataset in ("nih", "pediatric"):
        rows = splits["test"].datasets == dataset
        assert probe.auc(splits["test"].labels[rows, 0], found.scores["test"][rows, 0]) > 0.98


def test_a_small_dataset_may_learn_from_the_others():
    splits = splits_of({"nih": 6, "pediatric": 300}, {"nih": 60, "pediatric": 60})

    found = probe.run_probe(THUMBNAIL, splits)

    assert found.trained_on["nih"] == ("all",)


def test_test_images_do_not_choose():
    splits = splits_of({"nih": 60, "pediatric": 300}, direction={"nih": -1.0})
    misleading = make_split(2, {"nih": 60, "pediatric": 60})

    found = probe.run_probe(THUMBNAIL, splits | {"test": misleading})

    assert found.trained_on["nih"] == ("own",)
    rows = misleading.datasets == "nih"
    assert probe.auc(misleading.labels[rows, 0], found.scores["test"][rows, 0]) < 0.1


def test_without_both_classes_on_validation_a_dataset_answers_for_itself():
    splits = splits_of({"nih": 6, "pediatric": 300}, {"pediatric": 60}, {"nih": 60})

    assert probe.run_probe(THUMBNAIL, splits).trained_on["nih"] == ("own",)


def test_a_dataset_without_training_images_is_judged_by_the_others():
    splits = splits_of({"pediatric": 300}, test={"nih": 60})

    found = probe.run_probe(THUMBNAIL, splits)

    assert found.trained_on["nih"] == ("all",)
    assert probe.auc(splits["test"].labels[:, 0], found.scores["test"][:, 0]) > 0.98


def test_identity_knows_how_frequent_a_finding_is():
    splits = splits_of({"nih": 100, "pediatric": 50})
    train = splits["train"]
    labels = np.where(train.datasets == "nih", 0, 1)[:, np.newaxis]
    labels[0] = 1
    splits["train"] = dataclasses.replace(train, labels=labels)

    found = probe.run_identity(splits)

    nih = splits["test"].datasets == "nih"
    np.testing.assert_allclose(found.scores["test"][nih, 0], np.log(1.5 / 99.5))
    np.testing.assert_allclose(found.scores["test"][~nih, 0], np.log(50.5 / 0.5))


# --- Several findings ------------------------------------------------------------------------


def test_each_finding_has_a_regression_of_its_own():
    splits = splits_of({"nih": 300}, outputs=3)
    for split in splits.values():
        split.labels[:, 1] = 0
        split.labels[:, 2] = 1 - split.labels[:, 0]

    found = probe.run_probe(THUMBNAIL, splits)

    assert found.trained_on == {"nih": ("own", None, "own")}
    scores, labels = found.scores["test"], splits["test"].labels
    assert np.isnan(scores[:, 1]).all()
    assert probe.auc(labels[:, 1], scores[:, 1]) is None
    assert min(probe.auc(labels[:, k], scores[:, k]) for k in (0, 2)) > 0.98
