"""Where the node stands in the pipeline, and who takes what it leaves."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tfx.dsl.components.base.base_node import BaseNode

import components
from components.trainer.artifacts import Activations
from pipeline.config import load_config
from pipeline.pipeline import Places, create_pipeline
from tests.pipeline.runners.kubeflow.compiled import compiled

ON = "embedding.enabled=true"


def nodes(experiment: str, *overrides: str) -> dict[str, BaseNode]:
    config = load_config(experiment, overrides)
    places = Places("/root", "/serving", dict.fromkeys(config.data.datasets, "/data"), "")
    return {one.id: one for one in create_pipeline(config, places).components}


def before(node: BaseNode) -> set[str]:
    return {one.id for one in node.upstream_nodes}


def properties(node: BaseNode) -> dict[str, Any]:
    return dict(node.exec_properties)


def test_a_run_has_it_only_where_it_is_asked_for() -> None:
    found = nodes("both")

    assert "Embedder" not in found
    assert "activations" not in found["Trainer"].inputs


def test_whoever_learns_takes_its_rows() -> None:
    found = nodes("both", ON, "tuner.enabled=true")

    for name in ("Tuner", "Trainer", "CrossDatasetMatrix"):
        assert "Embedder" in before(found[name])
        assert found[name].inputs["activations"].type is Activations
    assert before(found["Embedder"]) == {"XrayExampleGen", "Transform"}
    assert components.Activations is Activations


def test_test_images_are_embedded_where_something_looks_at_them() -> None:
    both, one = (nodes(name, ON)["Embedder"] for name in ("both", "pediatric"))

    assert json.loads(properties(both)["splits"]) == ["train", "val", "test"]
    assert json.loads(properties(one)["splits"]) == ["train", "val"]


def test_another_head_leaves_the_node_as_it_was() -> None:
    one = nodes("pediatric", ON)["Embedder"]
    head = nodes("pediatric", ON, "trainer.epochs=3", "trainer.head.units=9")["Embedder"]
    network = nodes("pediatric", ON, "trainer.backbone=ResNet50V2")["Embedder"]

    assert properties(one) == properties(head)
    assert properties(one) != properties(network)


@pytest.mark.parametrize("enabled", ["true", "false"])
def test_the_trainer_compiles_for_kubeflow(enabled: str) -> None:
    spec, _ = compiled("pediatric", f"embedding.enabled={enabled}")

    text = json.dumps(spec)
    assert "components.trainer.executor.Executor" in text
    assert ("components.embedding.executor.Executor" in text) == (enabled == "true")
