"""What the Trainer node runs."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_transform as tft
from sklearn.metrics import roc_auc_score
from tfx import v1 as tfx

from components.trainer import devices, explaining, export, golden, monitoring
from components.trainer.backbones import weights_digest
from components.trainer.classifier import build_classifier
from components.trainer.curves import keep_history
from components.trainer.film_sample import sample_films
from components.trainer.frozen import resolve_precision
from components.trainer.frozen_part import of_encoded
from components.trainer.hyperparameters import with_hyperparameters
from components.trainer.index import Index
from components.trainer.input_sanity import InputSanity
from components.trainer.inputs import Given, Inputs, keras_file, open_inputs
from components.trainer.outputs import fit_outputs
from components.trainer.preparation import Prepared, cache_root
from components.trainer.sanity_fitting import fit_sanity
from components.trainer.serving_module import ServingModule
from components.trainer.settings import TrainerSettings
from components.trainer.tasks import TASKS, Task
from components.trainer.training import Trained, Workplace, train
from components.trainer.worker_group import train_on_workers

_UNFINISHED = "unfinished"


def run_fn(fn_args: tfx.components.FnArgs) -> None:
    """Train the classifier and export it.

    Writes the SavedModel to `fn_args.serving_model_dir`, the Keras model to `saved_models/`
    beside it, and TensorBoard's logs and the training curves to `fn_args.model_run_dir`.

    A training that was killed is taken up where it was: activations are kept as they come, and
    each phase after each epoch.

    Raises:
      InputError: if a worker fails, or is not in time.
      WeightsError: if the backbone's weights cannot be had.
      TrainingError: if a split is empty, or the loss is not a number, or, of a single finding, a
        class is missing.
    """
    given = _given(fn_args)
    devices.prepare(given.settings.devices)
    inputs = open_inputs(given)
    workplace = Workplace(
        unfinished=given.cache_root / _UNFINISHED / inputs.key, log_dir=Path(fn_args.model_run_dir)
    )
    inputs.preparation.evict(in_use=workplace.unfinished.glob("*"))
    trained = _train(given, inputs, workplace)
    _export(given, inputs, trained, Path(fn_args.serving_model_dir))
    keep_history(trained.phases, workplace.log_dir)
    shutil.rmtree(workplace.unfinished, ignore_errors=True)


def _given(fn_args: tfx.components.FnArgs) -> Given:
    config = dict(fn_args.custom_config)
    settings = TrainerSettings(**config["settings"])
    if fn_args.hyperparameters:
        settings = with_hyperparameters(settings, fn_args.hyperparameters)
    return Given(
        settings=settings,
        config=config,
        train_files=tuple(fn_args.train_files),
        eval_files=tuple(fn_args.eval_files),
        transform_graph=fn_args.transform_output,
        base_model=fn_args.base_model,
        cache_root=cache_root(settings, Path(fn_args.model_run_dir) / "cache"),
    )


def _train(given: Given, inputs: Inputs, workplace: Workplace) -> Trained:
    if given.settings.devices.strategy == "multi_worker":
        return train_on_workers(given, inputs, workplace)
    return train(
        inputs.network,
        inputs.splits["train"],
        inputs.splits["val"],
        TASKS[given.config["labels"]].outputs,
        given.settings,
        workplace,
        start=inputs.head,
    )


def _export(given: Given, inputs: Inputs, trained: Trained, model_dir: Path) -> None:
    """Fit what comes after the network, and write the model with all that lies beside it."""
    settings, config = given.settings, given.config
    task, network, splits = TASKS[config["labels"]], inputs.network, inputs.splits
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
    kept = keras_file(model_dir, settings.backbone)
    kept.parent.mkdir(parents=True, exist_ok=True)
    classifier.save(kept)
    precision = resolve_precision(settings.precision)
    preprocessing = tft.TFTransformOutput(given.transform_graph).transform_features_layer()
    preprocess = of_encoded(preprocessing)
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
        explanation=explaining.fit(seeing, preprocess, validation, settings),
        precision=precision,
        backbone=settings.backbone,
        weights=settings.weights,
        weights_sha256=weights_digest(network.backbone),
        image_size=size,
        preprocessing=f"grey, {size}x{size} antialiased, float32 on [0, 1], 3 channels",
        code=config["code"],
        training=_account(task, settings, trained, splits)
        | {"warm_start": inputs.head is not None},
        quality=quality,
        intended_use=task.intended_use,
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
