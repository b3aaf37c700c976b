"""The node's specification."""

from __future__ import annotations

import json

from tfx import v1 as tfx
from tfx.types import standard_artifacts

import components
from components.cross_dataset.artifacts import CrossDatasetReport
from components.cross_dataset.component import CrossDatasetMatrix
from pipeline.config import load_config
from pipeline.pipeline import Places, create_pipeline

TRAINER = {"settings": {"epochs": 3}, "labels": "pneumonia", "image_size": 64}


def test_settings_reach_the_node() -> None:
    node = CrossDatasetMatrix(
        examples=tfx.dsl.Channel(type=standard_artifacts.Examples),
        transform_graph=tfx.dsl.Channel(type=standard_artifacts.TransformGraph),
        trainer=TRAINER,
        code="abc",
    )

    assert json.loads(node.exec_properties["trainer"]) == TRAINER
    assert node.exec_properties["code"] == "abc"
    assert node.outputs["report"].type is CrossDatasetReport
    assert components.CrossDatasetReport is CrossDatasetReport


def nodes(experiment: str, *overrides: str) -> dict[str, set[str]]:
    """The nodes before each node."""
    config = load_config(experiment, overrides)
    places = Places("/root", "/serving", dict.fromkeys(config.data.datasets, "/data"), "")
    found = create_pipeline(config, places).components
    return {one.id: {before.id for before in one.upstream_nodes} for one in found}


def test_several_datasets_have_a_matrix_after_the_trainer() -> None:
    assert "Trainer" in nodes("both")["CrossDatasetMatrix"]
    assert "Tuner" in nodes("both", "tuner.enabled=true")["CrossDatasetMatrix"]


def test_one_dataset_and_several_findings_have_none() -> None:
    for experiment in ("pediatric", "nih_multilabel"):
        assert "CrossDatasetMatrix" not in nodes(experiment)
    assert "CrossDatasetMatrix" not in nodes("both", "cross_dataset.enabled=false")
