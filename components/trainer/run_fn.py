"""What the Trainer node runs."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
import tensorflow_transform as tft
from tfx import v1 as tfx

from components import progress
from components.example_gen import record
from components.trainer import export
from components.trainer.backbones import build_backbone, weights_digest
from components.trainer.classifier import build_classifier
from components.trainer.embedding import Embedder, embed, read_index
from components.trainer.embedding_cache import EmbeddingCache
from components.trainer.frozen import resolve_precision
from components.trainer.head_training import (
    Embedded,
    TrainingError,
    balanced_class_weights,
    train_head,
)
from components.trainer.outputs import fit_outputs
from components.trainer.serving_module import BINARY, ServingModule
from components.trainer.settings import TrainerSettings


def run_fn(fn_args: tfx.components.FnArgs) -> None:
    """Train the classifier and export it.

    Writes the SavedModel to `fn_args.serving_model_dir`, the Keras model to `saved_models/`
    beside it, and TensorBoard's logs to `fn_args.model_run_dir`.

    Raises:
      WeightsError: if the backbone's weights cannot be had.
      TrainingError: if a split is empty or a class is missing.
    """
    config = dict(fn_args.custom_config)
    image_size = config["image_size"]
    settings = TrainerSettings(**config["settings"])
    precision = resolve_precision(settings.precision)
    transform = tft.TFTransformOutput(fn_args.transform_output)
    preprocessing = transform.transform_features_layer()

    backbone = build_backbone(
        settings.backbone, image_size=image_size, weights=settings.weights, seed=settings.seed
    )
    embedder = Embedder(
        backbone,
        lambda encoded: preprocessing({record.IMAGE: encoded[:, tf.newaxis]})["image"],
        preprocess_digest=config["preprocessing"],
        precision=precision,
    )
    cache_root = _cache_root(settings, Path(fn_args.model_run_dir) / "cache")
    cache = EmbeddingCache(cache_root, embedder.key, embedder.features)
    train = _embedded("train", fn_args.train_files, embedder, cache)
    validation = _embedded("val", fn_args.eval_files, embedder, cache)

    head, history = train_head(train, validation, settings, Path(fn_args.model_run_dir))
    logits = head.predict(validation.embeddings, verbose=0)
    outputs = fit_outputs(
        record.CLASS_NAMES[1:],
        logits,
        validation.labels[:, np.newaxis],
        settings,
        prior_shift=_prior_shift(train, settings),
    )

    classifier = build_classifier(backbone, head)
    model_dir = Path(fn_args.serving_model_dir)
    keras_file = model_dir.parent / export.KERAS_FOLDER / f"{settings.backbone.lower()}.keras"
    keras_file.parent.mkdir(parents=True, exist_ok=True)
    classifier.save(keras_file)
    contract = export.ModelContract(
        task=BINARY,
        class_names=record.CLASS_NAMES,
        outputs=outputs,
        precision=precision,
        backbone=settings.backbone,
        weights=settings.weights,
        weights_sha256=weights_digest(backbone),
        image_size=image_size,
        preprocessing=f"grey, {image_size}x{image_size} antialiased, float32 on [0, 1], 3 channels",
        code=config["code"],
        training={
            "seed": settings.seed,
            "epochs": len(history.epoch),
            "validation_auc": _of_best_epoch(history, "val_auc"),
            "images": {"train": _per_class(train), "val": _per_class(validation)},
            "images_sha256": {"train": train.digest, "val": validation.digest},
        },
    )
    served = ServingModule(classifier, preprocessing, contract.answers, precision)
    export.export(served, contract, model_dir)


def _embedded(
    split: str, patterns: Sequence[str], embedder: Embedder, cache: EmbeddingCache
) -> Embedded:
    files = tf.io.gfile.glob(list(patterns))
    sha256, labels = read_index(files)
    if not sha256:
        raise TrainingError(f"the {split} split is empty")
    digest = hashlib.sha256("".join(sha256).encode()).hexdigest()
    return Embedded(embed(files, sha256, embedder, cache), labels, digest)


def _prior_shift(train: Embedded, settings: TrainerSettings) -> np.ndarray:
    """What class weights add to the logit, float [1]."""
    if settings.imbalance != "class_weight":
        return np.zeros(1)
    weights = balanced_class_weights(train.labels)
    return np.log([weights[1] / weights[0]])


def _of_best_epoch(history: keras.callbacks.History, metric: str) -> float:
    """A metric of the epoch whose weights were kept."""
    return history.history[metric][int(np.argmin(history.history["val_loss"]))]


def _per_class(split: Embedded) -> dict[str, int]:
    counts = np.bincount(split.labels, minlength=len(record.CLASS_NAMES))
    return dict(zip(record.CLASS_NAMES, counts.tolist(), strict=True))


def _cache_root(settings: TrainerSettings, fallback: Path) -> Path:
    """The user's cache folder; containers may run as somebody who has none."""
    if settings.cache.folder:
        return Path(settings.cache.folder)
    try:
        root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cxr"
        root.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError) as error:  # RuntimeError: no home
        progress.warn(f"no cache folder ({error}): embeddings are kept in {fallback} for this run")
        return fallback
    return root
