"""The node's own executor: the search is told where the activations are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tfx import v1 as tfx
from tfx.dsl.components.base.base_executor import BaseExecutor
from tfx.types import artifact_utils, channel_utils, standard_artifacts

from components.trainer.artifacts import Activations
from components.tuner.component import Tuner
from components.tuner.executor import Executor


def answer(fn_args: tfx.components.FnArgs) -> None:
    """A `tuner_fn` that ends the search with what it was told."""
    raise LookupError(json.dumps(fn_args.custom_config))


def test_tuner_fn_is_told_of_the_activations(tmp_path: Path) -> None:
    kinds: dict[str, Any] = {
        "examples": standard_artifacts.Examples,
        "transform_graph": standard_artifacts.TransformGraph,
        "schema": standard_artifacts.Schema,
        "activations": Activations,
    }
    artifacts = {name: kind() for name, kind in kinds.items()}
    for name, artifact in artifacts.items():
        artifact.uri = str(tmp_path / name)
    artifacts["examples"].split_names = artifact_utils.encode_split_names(["train", "val"])
    (tmp_path / "schema").mkdir()
    (tmp_path / "schema" / "schema.pbtxt").touch()
    channels = {name: channel_utils.as_channel([one]) for name, one in artifacts.items()}
    node = Tuner(
        tuner_fn="tests.components.tuner.test_executor.answer",
        train_args=tfx.proto.TrainArgs(splits=["train"]),
        eval_args=tfx.proto.EvalArgs(splits=["val"]),
        custom_config={"labels": "pneumonia"},
        **channels,
    )
    context = BaseExecutor.Context(tmp_dir=str(tmp_path), unique_id="1")
    with pytest.raises(LookupError) as told:
        Executor(context).Do(
            {name: [one] for name, one in artifacts.items()},
            {},
            {
                name: value if isinstance(value, str) else json.dumps({"splits": ["train"]})
                for name, value in node.exec_properties.items()
                if value is not None
            },
        )

    assert node.id == "Tuner"
    folder = str(tmp_path / "activations")
    assert json.loads(str(told.value)) == {"labels": "pneumonia", "activations": folder}
