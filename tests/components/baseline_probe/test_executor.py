"""Real artifacts in, a real report out."""

import cv2
import numpy as np
import pytest
from tfx.types import artifact_utils, standard_artifacts

import components
from components.baseline_probe import executor, report
from components.errors import InputError
from components.example_gen import record
from tests import examples
from tests.components.trainer.samples import write_records


def make_example(number, label, dataset, labels="pneumonia"):
    """Pediatric films are brighter with pneumonia, NIH films larger; neither within."""
    rng = np.random.default_rng([number, dataset == "nih"])
    side = 64 if dataset == "pediatric" or not label else 96
    film = rng.integers(40, 120, (side, side), dtype=np.uint8)
    if dataset == "pediatric" and label:
        film[: side // 12] = 220
    names = ("Pneumonia",) if label else ("No Finding",)
    return examples.make_example(
        cv2.imencode(".png", film)[1].tobytes(),
        str(number),
        label,
        dataset=dataset,
        finding_labels=record.finding_labels(names, labels),
    )


def run(root, splits, labels="pneumonia"):
    for name, records in splits.items():
        write_records(root / "examples" / f"Split-{name}", records)
    artifact = standard_artifacts.Examples()
    artifact.uri = str(root / "examples")
    artifact.split_names = artifact_utils.encode_split_names(list(splits))
    written = components.ProbeReport()
    written.uri = str(root / "report")
    (root / "report").mkdir()
    executor.Executor().Do(
        {"examples": [artifact]},
        {"report": [written]},
        {"labels": labels, "image_size": 64, "code": "x"},
    )
    return written.uri


def make_splits(datasets, labels="pneumonia", images=30):
    return {
        name: [
            make_example(1000 * start + number, number % 2, dataset, labels)
            for dataset in datasets
            for number in range(images)
        ]
        for start, name in enumerate(("train", "val", "test"))
    }


def test_shortcuts_are_found_where_they_are(tmp_path):
    uri = run(tmp_path, make_splits(("pediatric", "nih")))

    aucs = {
        (one.probe, one.dataset): one.auc
        for one in report.read_index(uri).figures
        if one.split == "test"
    }
    assert aucs["border", "pediatric"] > 0.99
    assert aucs["thumbnail", "pediatric"] > 0.99
    assert aucs["metadata", "nih"] > 0.99
    assert aucs["border", "nih"] < 0.8
    assert aucs["dataset identity", None] == pytest.approx(0.5)
    assert len(report.read_probe(uri).sha256) == 60


def test_all_findings_are_probed(tmp_path):
    uri = run(tmp_path, make_splits(("nih",), "findings", images=12), "findings")

    scores = report.read_probe(uri)
    assert scores.outputs == record.PATHOLOGIES
    assert set(scores.scores) == {"thumbnail", "border", "metadata"}
    known = ~np.isnan(scores.scores["metadata"]).any(axis=0)
    assert [name for name, one in zip(scores.outputs, known, strict=True) if one] == ["Pneumonia"]


def test_an_empty_split_is_an_error_of_the_user(tmp_path):
    splits = make_splits(("nih",), images=4)

    with pytest.raises(InputError, match="val has no images"):
        run(tmp_path, splits | {"val": []})
