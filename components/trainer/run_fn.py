"""What the Trainer node runs."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_transform as tft
from sklearn.metrics import roc_auc_score
from tfx import v1 as tfx

from components import progress
from components.example_gen import record
from components.trainer import devices, explaining, export, golden, monitoring
from components.trainer.activations import Index, digest
from components.trainer.backbones import weights_digest
from components.trainer.classifier import BACKBONE, HEAD, HIDDEN, build_classifier
from components.trainer.curves import keep_history
from components.trainer.film_sample import sample_films
from components.trainer.frozen import resolve_precision
from components.trainer.hyperparameters import with_hyperparameters
from components.trainer.input_sanity import InputSanity
from components.trainer.outputs import fit_outputs
from components.trainer.preparation import (
    TASKS,
    Prepared,
    Task,
    build_network,
    cache_root,
    open_preparation,
)
from components.trainer.sanity_fitting import fit_sanity
from components.trainer.serving_module import ServingModule
from components.trainer.settings import TrainerSettings
from components.trainer.training import Trained, Workplace, train

_UNFINISHED = "unfinished"


def run_fn(fn_args: tfx.components.FnArgs) -> None:
    """Train the classifier and export it.

    Writes the SavedModel to `fn_args.serving_model_dir`, the Keras model to `saved_models/`
    beside it, and TensorBoard's logs and the training curves to `fn_args.model_run_dir`.

    A training that was killed is taken up where it was: activations are kept as they come, and
    each phase after each epoch.

    Raises:
      WeightsError: if the backbone's weights cannot be had.
      TrainingError: if a split is empty, or the loss is not a number, or, of a single finding, a
        class is missing.
    """
    config = dict(fn_args.custom_config)
    settings = TrainerSettings(**config["settings"])
    if fn_args.hyperparameters:
        settings = with_hyperparameters(settings, fn_args.hyperparameters)
    task = TASKS[config["labels"]]
    devices.prepare(settings.devices)
    root = cache_root(settings, Path(fn_args.model_run_dir) / "cache")

    start = _last_model(fn_args.base_model, settings, task, config["image_size"])
    network = build_network(settings, config["image_size"], start and start.get_layer(BACKBONE))
    weights_sha256 = weights_digest(network.backbone)
    preparation = open_preparation(network, settings, config, fn_args.transform_output, root)
    splits = {
        "train": preparation.split("train", fn_args.train_files, views=True),
        "val": preparation.split("val", fn_args.eval_files),
    }
    head = start and start.get_layer(HEAD)
    start_sha256 = weights_digest(head) if head else "cold"
    key = _training_key(settings, config, [weights_sha256, start_sha256], splits)
    workplace = Workplace(unfinished=root / _UNFINISHED / key, log_dir=Path(fn_args.model_run_dir))
    preparation.evict(in_use=workplace.unfinished.glob("*"))
    trained = train(
        network,
        splits["train"],
        splits["val"],
        task.outputs,
        settings,
        workplace,
        start=head,
    )
    validation = splits["val"].index
    outputs = fit_outputs(
        task.outputs,
        trained.validation_logits,
        validation.labels.astype(np.int64),
        settings,
        prior_shift=trained.imbalance.prior_shift,
        patients=validation.patients,
    )
    classifier = build_classifier(network.backbone, trained.head)
    model_dir = Path(fn_args.serving_model_dir)
    keras_file = _keras_file(model_dir, settings.backbone)
    keras_file.parent.mkdir(parents=True, exist_ok=True)
    classifier.save(keras_file)
    precision = resolve_precision(settings.precision)
    preprocessing = tft.TFTransformOutput(fn_args.transform_output).transform_features_layer()

    def preprocess(encoded: tf.Tensor) -> tf.Tensor:
        return preprocessing({record.IMAGE: encoded[:, tf.newaxis]})["image"]

    films = {
        name: sample_films(split, network, preprocess, seed=settings.seed)
        for name, split in splits.items()
    }
    reference, quality = fit_sanity(films["train"], films["val"], seed=settings.seed)
    size = config["image_size"]
    seeing = explaining.freeze_classifier(classifier, precision, settings.explanation)
    contract = export.ModelContract(
        task=task.name,
        class_names=task.class_names,
        outputs=outputs,
        explanation=explaining.fit(seeing, preprocessing, validation, settings),
        precision=precision,
        backbone=settings.backbone,
        weights=settings.weights,
        weights_sha256=weights_digest(network.backbone),
        image_size=size,
        preprocessing=f"grey, {size}x{size} antialiased, float32 on [0, 1], 3 channels",
        code=config["code"],
        training=_account(task, settings, trained, splits) | {"warm_start": start is not None},
        quality=quality,
    )
    sanity = InputSanity(reference, quality.limits)
    served = ServingModule(seeing, preprocessing, contract.answers, contract.explanation, sanity)
    export.export(served, contract, model_dir)
    golden.write_golden(model_dir, classifier, preprocess, contract.answers, precision)
    logits = trained.validation_logits[films["val"].rows].T
    names = monitoring.probability_names(task.outputs)
    monitoring.write_statistics(
        model_dir,
        films["train"],
        films["val"],
        reference,
        {n: one.calibration(x) for n, one, x in zip(names, outputs, logits, strict=True)},
    )
    keep_history(trained.phases, workplace.log_dir)
    shutil.rmtree(workplace.unfinished, ignore_errors=True)


def _account(
    task: Task, settings: TrainerSettings, trained: Trained, splits: Mapping[str, Prepared]
) -> dict[str, Any]:
    """What the contract says of the training."""
    imbalance = trained.imbalance
    return {
        "seed": settings.seed,
        "trainable": settings.trainable,
        "imbalance": {
            "method": imbalance.method,
            # The share of positives in the training split, and as training sees it.
            "positives": dict(
                zip(task.outputs, imbalance.labels.mean(axis=0).tolist(), strict=True)
            ),
            "positives_seen": dict(zip(task.outputs, imbalance.frequencies.tolist(), strict=True)),
        },
        "epochs": {name: len(history["loss"]) for name, history in trained.phases.items()},
        "validation_auc": _aucs(task, trained.validation_logits, splits["val"].index.labels),
        "images": {name: _per_class(task, split.index) for name, split in splits.items()},
        "images_sha256": {name: split.index.digest for name, split in splits.items()},
    }


def _aucs(task: Task, logits: np.ndarray, labels: np.ndarray) -> dict[str, float | None]:
    """By output; None where validation has one class alone."""
    return {
        name: float(roc_auc_score(labels[:, k], logits[:, k])) if np.ptp(labels[:, k]) else None
        for k, name in enumerate(task.outputs)
    }


def _per_class(task: Task, index: Index) -> dict[str, int]:
    positives = index.labels.sum(axis=0).astype(int).tolist()
    if len(task.outputs) == 1:
        positives = [len(index.sha256) - positives[0], positives[0]]
    return dict(zip(task.class_names, positives, strict=True))


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
    file = _keras_file(Path(serving_model_dir), settings.backbone)
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


def _keras_file(serving_model_dir: Path, backbone: str) -> Path:
    return serving_model_dir.parent / export.KERAS_FOLDER / f"{backbone.lower()}.keras"
