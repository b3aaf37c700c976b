"""The parts that are made once."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_transform import beam as tft_beam
from tensorflow_transform.tf_metadata import dataset_metadata, schema_utils
from tfx import v1 as tfx

from components.example_gen import record
from components.trainer.backbones import BACKBONES, Backbone, build_backbone
from components.trainer.run_fn import run_fn
from components.transform.preprocessing_fn import preprocessing_fn
from tests import examples
from tests.components.trainer.samples import (
    SIDE,
    SMALL_BLOCKS,
    draw_chest,
    encode,
    make_example,
    small_network,
    write_records,
)

SMALL = Backbone(small_network, "imagenet", SMALL_BLOCKS)


@pytest.fixture
def small_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small network in DenseNet121's place."""
    monkeypatch.setitem(BACKBONES, "DenseNet121", SMALL)


@pytest.fixture
def small_backbone(small_registry: None) -> keras.Model:
    return build_backbone("DenseNet121", image_size=SIDE, weights="none", seed=1)


@pytest.fixture(scope="session")
def transform_graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the Transform node writes, without a pipeline."""
    folder = tmp_path_factory.mktemp("transform")
    spec = {record.IMAGE: tf.io.FixedLenFeature([1], tf.string)}
    raw = dataset_metadata.DatasetMetadata(schema_utils.schema_from_feature_spec(spec))
    with tft_beam.Context(temp_dir=str(folder / "temp")):
        transform = ([], raw) | tft_beam.AnalyzeDataset(
            lambda inputs: preprocessing_fn(inputs, {"image_size": SIDE})
        )
        transform | tft_beam.WriteTransformFn(str(folder))
    return folder


def read_contract(model_dir: Path) -> dict[str, Any]:
    return json.loads((model_dir / "assets.extra" / "model_contract.json").read_text("utf-8"))


@dataclasses.dataclass(frozen=True)
class Trained:
    """What a run of the Trainer was given, and where it wrote."""

    run: Callable[..., Path]
    model_dir: Path
    films: list[tf.train.Example]

    @property
    def contract(self) -> dict[str, Any]:
        return read_contract(self.model_dir)

    @property
    def keras_file(self) -> Path:
        return self.model_dir.parent / "saved_models" / "densenet121.keras"


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, transform_graph: Path) -> Trained:
    """A run with a small network in DenseNet121's place."""
    root = tmp_path_factory.mktemp("trainer")
    films = [make_example(number, number % 2) for number in range(64)]
    files = {
        "train": write_records(root / "examples" / "Split-train", films[:40]),
        "val": write_records(root / "examples" / "Split-val", films[40:]),
        "none": write_records(root / "examples" / "Split-none", []),
        "nowhere": [str(root / "examples" / "Split-nowhere" / "*")],
    }

    def run(
        name: str,
        train: str = "train",
        val: str = "val",
        base_model: Path | None = None,
        hyperparameters: dict[str, Any] | None = None,
        **settings: Any,
    ) -> Path:
        defaults = {"cache": {"folder": str(root / "cache")}, "epochs": 8, "head": {"units": 16}}
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(BACKBONES, "DenseNet121", SMALL)
            run_fn(
                tfx.components.FnArgs(
                    train_files=[str(Path(files[train][0]).parent / "*")],
                    eval_files=[str(Path(files[val][0]).parent / "*")],
                    transform_output=str(transform_graph),
                    serving_model_dir=str(root / name / "Format-Serving"),
                    model_run_dir=str(root / name / "logs"),
                    base_model=base_model and str(base_model),
                    hyperparameters=hyperparameters,
                    custom_config={
                        "settings": defaults | settings,
                        "labels": "pneumonia",
                        "image_size": SIDE,
                        "preprocessing": "as tested",
                        "code": "as tested",
                    },
                )
            )
        return root / name / "Format-Serving"

    model_dir = run("first", weights="none")
    return Trained(run, model_dir, films)


@dataclasses.dataclass(frozen=True)
class Chests:
    """A model of films that have a layout in common, and films that it never saw.

    Attributes:
      model_dir: of the SavedModel.
      validation: films that its limits were set on, encoded.
      others: films drawn likewise, uint8.
    """

    model_dir: Path
    validation: list[bytes]
    others: list[np.ndarray]


@pytest.fixture(scope="session")
def chests(tmp_path_factory: pytest.TempPathFactory, transform_graph: Path) -> Chests:
    """A run of the Trainer on such films, with a small network fine-tuned for an epoch."""
    root = tmp_path_factory.mktemp("chests")
    films = [encode(draw_chest(number)) for number in range(140)]
    made = [examples.make_example(one, str(n), n % 2) for n, one in enumerate(films)]
    files = {
        "train": write_records(root / "Split-train", made[:80]),
        "val": write_records(root / "Split-val", made[80:]),
    }
    model_dir = root / "cxr" / "3"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(BACKBONES, "DenseNet121", SMALL)
        run_fn(
            tfx.components.FnArgs(
                train_files=files["train"],
                eval_files=files["val"],
                transform_output=str(transform_graph),
                serving_model_dir=str(model_dir),
                model_run_dir=str(root / "logs"),
                custom_config={
                    "settings": {
                        "cache": {"folder": str(root / "cache")},
                        "weights": "none",
                        "epochs": 1,
                        "trainable": "last_block",
                        "fine_tuning": {"epochs": 1, "learning_rate": 1e-3},
                        "head": {"units": 4},
                    },
                    "labels": "pneumonia",
                    "image_size": SIDE,
                    "preprocessing": "as tested",
                    "code": "as tested",
                },
            )
        )
    return Chests(model_dir, films[80:], [draw_chest(number) for number in range(1000, 1060)])
