"""What a training is given, and all of it opened: for the Trainer, and for each of its workers."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras

from components import progress
from components.plain import Plain
from components.trainer.backbones import weights_digest
from components.trainer.classifier import BACKBONE, HEAD, HIDDEN
from components.trainer.contract_file import KERAS_FOLDER
from components.trainer.index import digest
from components.trainer.network import Network, build_network
from components.trainer.preparation import Preparation, Prepared, open_preparation
from components.trainer.settings import TrainerSettings
from components.trainer.tasks import TASKS, Task


class Given(Plain):
    """What decides a training, as plain values.

    Attributes:
      settings: of the Trainer, with the hyperparameters that were found.
      config: the node's.
      train_files: patterns of gzipped TFRecords of Examples.
      eval_files: likewise, of the validation split.
      transform_graph: what Transform wrote.
      base_model: SavedModel to go on from; none for a cold start.
      cache_root: folder of the caches.
    """

    settings: TrainerSettings
    config: dict[str, Any]
    train_files: tuple[str, ...]
    eval_files: tuple[str, ...]
    transform_graph: str
    base_model: str | None
    cache_root: Path


@dataclasses.dataclass(frozen=True)
class Inputs:
    """What was given, opened.

    Attributes:
      network: the backbone, cut.
      preparation: with the caches that the splits are read from.
      splits: `train` and `val`.
      head: to go on from; None for a cold start.
      key: what tells this training from every other: a state is taken up by its own training
        alone.
    """

    network: Network
    preparation: Preparation
    splits: Mapping[str, Prepared]
    head: keras.Model | None
    key: str


def open_inputs(given: Given) -> Inputs:
    """Build the network, and have every image gone through its frozen part.

    Raises:
      WeightsError: if the backbone's weights cannot be had.
      TrainingError: if a split is empty.
    """
    settings, config = given.settings, given.config
    start = _last_model(given.base_model, settings, TASKS[config["labels"]], config["image_size"])
    network = build_network(settings, config["image_size"], start and start.get_layer(BACKBONE))
    weights_sha256 = weights_digest(network.backbone)
    preparation = open_preparation(
        network, settings, config, given.transform_graph, given.cache_root
    )
    splits = {
        "train": preparation.split("train", given.train_files, views=True),
        "val": preparation.split("val", given.eval_files),
    }
    head = start and start.get_layer(HEAD)
    start_sha256 = weights_digest(head) if head else "cold"
    key = _training_key(settings, config, [weights_sha256, start_sha256], splits)
    return Inputs(network, preparation, splits, head, key)


def _training_key(
    settings: TrainerSettings,
    config: Mapping[str, Any],
    weights_sha256: Sequence[str],
    splits: Mapping[str, Prepared],
) -> str:
    """What tells this training from every other: a state is taken up by its own training alone."""
    return digest(
        settings.model_dump_json(exclude={"cache": {"folder", "max_gib"}, "explanation": True}),
        *weights_sha256,
        str(config["image_size"]),
        config["preprocessing"],
        config["code"],
        *(split.index.digest for split in splits.values()),
    )


def keras_file(serving_model_dir: Path, backbone: str) -> Path:
    """Where the Keras model is, beside the SavedModel that was made of it."""
    return serving_model_dir.parent / KERAS_FOLDER / f"{backbone.lower()}.keras"


def _last_model(
    serving_model_dir: str | None, settings: TrainerSettings, task: Task, image_size: int
) -> keras.Model | None:
    """The model to go on from; None where there is none, or it is built otherwise.

    Args:
      serving_model_dir: of the last blessed model, as TFX hands it over.
      settings: of the Trainer.
      task: what is learnt.
      image_size: side of the square input, in pixels.
    """
    if not serving_model_dir:
        return None
    file = keras_file(Path(serving_model_dir), settings.backbone)
    if not file.is_file():
        progress.warn(f"a cold start: the last blessed model has no {file.name}")
        return None
    model = keras.saving.load_model(file, compile=False)
    head = model.get_layer(HEAD)
    found = (model.input_shape[1], head.get_layer(HIDDEN).units, head.output_shape[-1])
    wanted = (image_size, settings.head.units, len(task.outputs))
    if found != wanted:
        progress.warn(
            "a cold start: the last blessed model has (image size, hidden units, outputs) "
            f"{found}, and this one {wanted}"
        )
        return None
    return model
