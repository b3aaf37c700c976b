"""TFX's own executor, with one more input: `run_fn` is told where the activations are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tfx import v1 as tfx
from tfx.types import artifact_utils, channel_utils, standard_artifacts

from components.trainer.artifacts import Activations
from components.trainer.component import Trainer
from components.trainer.executor import Executor

CONFIG = {"labels": "pneumonia", "settings": {"epochs": 3}}


def run(folder: Path, **more: Any) -> tuple[Trainer, dict[str, Any]]:
    """Run the node; and what `run_fn` was told."""
    kinds = {
        "examples": standard_artifacts.Examples,
        "transform_graph": standard_artifacts.TransformGraph,
        "schema": standard_artifacts.Schema,
        "model": standard_artifacts.Model,
        "model_run": standard_artifacts.ModelRun,
    }
    artifacts = {name: kind() for name, kind in (kinds | more).items()}
    for name, artifact in artifacts.items():
        artifact.uri = str(folder / name)
        (folder / name).mkdir()
    artifacts["examples"].split_names = artifact_utils.encode_split_names(["train", "val"])
    (folder / "schema" / "schema.pbtxt").touch()
    outputs = {name: [artifacts.pop(name)] for name in ("model", "model_run")}
    node = Trainer(
        run_fn="tests.components.trainer.test_executor.write_down",
        train_args=tfx.proto.TrainArgs(splits=["train"]),
        eval_args=tfx.proto.EvalArgs(splits=["val"]),
        custom_config=CONFIG,
        **{name: channel_utils.as_channel([one]) for name, one in artifacts.items()},
    )
    # TFX hands messages on as JSON.
    properties = {
        name: value if isinstance(value, str) else json.dumps({"splits": list(value.splits)})
        for name, value in node.exec_properties.items()
        if value is not None
    }

    Executor().Do({name: [one] for name, one in artifacts.items()}, outputs, properties)
    return node, json.loads((folder / "model" / "Format-Serving" / "told.json").read_text("utf-8"))


def write_down(fn_args: tfx.components.FnArgs) -> None:
    """A `run_fn`."""
    folder = Path(fn_args.serving_model_dir)
    folder.mkdir()
    told = {"config": fn_args.custom_config, "files": fn_args.train_files}
    (folder / "told.json").write_text(json.dumps(told), "utf-8")


def test_run_fn_is_told_where_the_activations_are(tmp_path: Path) -> None:
    node, told = run(tmp_path, activations=Activations)

    assert node.id == "Trainer"
    assert told == {
        "config": CONFIG | {"activations": str(tmp_path / "activations")},
        "files": [str(tmp_path / "examples" / "Split-train" / "*")],
    }


def test_without_activations_it_is_told_what_it_was(tmp_path: Path) -> None:
    _, told = run(tmp_path)

    assert told["config"] == CONFIG
