"""What is written is read again, and says what it lacks."""

import json

import numpy as np
import pytest

from components.baseline_probe import probe, report
from components.baseline_probe.features import SEES
from tests.components.baseline_probe.samples import make_split

IMAGES = {"nih": 60, "pediatric": 90}


@pytest.fixture(scope="module")
def splits():
    return {name: make_split(seed, IMAGES) for seed, name in enumerate(("train", "val", "test"))}


@pytest.fixture(scope="module")
def probes(splits):
    return [*(probe.run_probe(name, splits) for name in SEES), probe.run_identity(splits)]


def test_what_was_written_is_read(splits, probes, tmp_path):
    report.write(str(tmp_path), probes, splits, ["pneumonia"])
    read = report.read_probe(str(tmp_path))

    assert read.outputs == ("pneumonia",)
    assert read.sha256.tolist() == splits["test"].sha256.tolist()
    assert read.datasets.tolist() == splits["test"].datasets.tolist()
    np.testing.assert_array_equal(read.labels, splits["test"].labels)
    assert list(read.scores) == ["thumbnail", "border", "metadata", "dataset identity"]
    for one in probes:
        np.testing.assert_array_equal(read.scores[one.name], one.scores["test"])
    assert report.read_index(str(tmp_path)) == report.index(probes, splits, ["pneumonia"])


def test_scores_are_found_by_image(splits, probes, tmp_path):
    report.write(str(tmp_path), probes, splits, ["pneumonia"])
    read = report.read_probe(str(tmp_path))

    chosen = read.of(read.sha256[[7, 3]])

    np.testing.assert_array_equal(chosen.scores["border"], read.scores["border"][[7, 3]])
    np.testing.assert_array_equal(chosen.labels, read.labels[[7, 3]])
    with pytest.raises(ValueError, match=r"have not seen 1 of 2 images, such as the .* elsewhere"):
        read.of([read.sha256[0], "elsewhere"])


def test_every_dataset_is_judged_alone_and_all_together(splits, probes):
    figures = report.index(probes, splits, ["pneumonia"]).figures
    on_test = {(one.probe, one.dataset): one for one in figures if one.split == "test"}

    assert set(on_test) == {
        *((name, dataset) for name in SEES for dataset in ("nih", "pediatric", None)),
        # Within a dataset, its identity tells nothing.
        ("dataset identity", None),
    }
    assert on_test["thumbnail", "nih"].n == 60
    assert on_test["thumbnail", "nih"].positives == 20
    assert on_test["thumbnail", None].n == 150
    assert on_test["thumbnail", "nih"].auc > 0.95
    assert on_test["border", "nih"].trained_on in ("own", "all")
    assert on_test["border", None].trained_on is None


def test_one_dataset_is_not_judged_twice():
    splits = {name: make_split(1, {"nih": 60}) for name in ("train", "val", "test")}
    probes = [probe.run_probe("border", splits)]

    figures = report.index(probes, splits, ["pneumonia"]).figures

    assert [(one.split, one.dataset) for one in figures] == [("val", "nih"), ("test", "nih")]


def test_the_index_says_what_was_learnt_from(splits, probes):
    found = report.index(probes, splits, ["pneumonia"])

    assert [(one.dataset, one.n, one.positives["pneumonia"]) for one in found.training] == [
        ("nih", 60, 20),
        ("pediatric", 90, 30),
    ]
    assert "16x16" in found.sees["thumbnail"]
    json.dumps(found.model_dump(mode="json"), allow_nan=False)


@pytest.mark.parametrize(
    ("split", "reason"),
    [
        ("train", "the training images are all of one class"),
        ("test", "the images are all of one class"),
    ],
)
def test_a_figure_that_is_not_there_says_why(split, reason):
    splits = {name: make_split(1, {"nih": 60}) for name in ("train", "val", "test")}
    splits[split].labels[:] = 1

    figures = report.index([probe.run_probe("border", splits)], splits, ["pneumonia"]).figures

    assert [one.reason for one in figures if one.auc is None and one.split == "test"] == [reason]
