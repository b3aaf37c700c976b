"""A head for each dataset and one for all, from embeddings that are there already."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components import progress, storage
from components.cross_dataset.matrix import Cell, Matrix, Pooled, Row, measure_cell, pool
from components.errors import InputError
from components.example_gen.split import TEST, TRAIN, VALIDATION
from components.trainer.batches import Split
from components.trainer.imbalance import TrainingError, balance
from components.trainer.index import Index
from components.trainer.network import build_network
from components.trainer.outputs import Output, fit_outputs
from components.trainer.preparation import Prepared, open_preparation
from components.trainer.settings import TrainerSettings
from components.trainer.tasks import TASKS
from components.trainer.training import Workplace, predict_logits, train_head

(_FINDING,) = TASKS["pneumonia"].outputs
# What decides neither the embeddings nor the heads.
_IDLE_SETTINGS = {"cache", "devices", "fine_tuning", "warm_start"}


def measure(
    settings: TrainerSettings, config: Mapping[str, Any], examples: str, transform_graph: str
) -> Matrix:
    """The matrix of an experiment.

    The network is built and cut as the Trainer does it, before any fine-tuning, so that its
    cache has the training and validation images; test images go through it once.

    Args:
      settings: of the Trainer.
      config: as the Trainer has it: `labels`, `image_size`, `preprocessing`, the digest of
        Transform's source, and `activations`, the folder of what the Embedder left, if it did.
      examples: URI of the Examples.
      transform_graph: URI of what Transform wrote.

    Raises:
      InputError: if the Examples are of one dataset, or labelled with several findings.
      WeightsError: if the backbone's weights cannot be had.
    """
    if TASKS[config["labels"]].name != "binary":
        raise InputError(
            "data.labels=findings: the cross-dataset matrix is of pneumonia alone; leave "
            "cross_dataset.enabled out"
        )
    network = build_network(settings, config["image_size"])
    with tempfile.TemporaryDirectory() as scratch, storage.local_copy(transform_graph) as graph:
        preparation = open_preparation(network, settings, config, str(graph), Path(scratch))
        train, validation, test = (
            preparation.split(name, [f"{examples}/Split-{name}/*"], views=name == TRAIN)
            for name in (TRAIN, VALIDATION, TEST)
        )
        preparation.evict(in_use=())
        return train_heads(train, validation, test, settings)


def train_heads(
    train: Prepared, validation: Prepared, test: Prepared, settings: TrainerSettings
) -> Matrix:
    """Train a head on each dataset and one on all, and test each on every dataset.

    A dataset that nothing can be learnt from has a row that says why.

    Args:
      train: embeddings of the training split.
      validation: of the split that stops each training, and on which scores are calibrated and
        operating points chosen.
      test: of the split that the figures are of.
      settings: of the Trainer.

    Raises:
      InputError: if the training images are of one dataset.
    """
    sources = tuple(sorted(set(train.index.datasets)))
    if len(sources) < 2:
        raise InputError(
            f"all images to train on are of {sources[0]}, and a cross-dataset matrix takes two "
            "datasets: add one to data.datasets, or leave cross_dataset.enabled out"
        )
    tested = tuple(sorted({*sources, *test.index.datasets}))
    rows: list[Row] = []
    pooled: Pooled | None = None
    for trained_on in [*((name,) for name in sources), sources]:
        own, judging = _within(train, trained_on), _within(validation, trained_on)
        try:
            output, probabilities = _learn(trained_on, own, judging, test, settings)
        except TrainingError as error:
            progress.warn(f"no head is trained on {' and '.join(trained_on)}: {error}")
            rows.append(_row(trained_on, own, judging, untrained=str(error)))
        else:
            point = output.operating_point
            rows.append(
                _row(
                    trained_on,
                    own,
                    judging,
                    threshold=point.threshold,
                    chosen_by=point.chosen_by,
                    cells=tuple(
                        _cell(name, test.index, probabilities, point.threshold) for name in tested
                    ),
                )
            )
            if trained_on == sources:
                pooled = _pool(train.index, test.index, probabilities)
        progress.report(len(rows), len(sources) + 1, "heads of the cross-dataset matrix")
    return Matrix(
        split=TEST,
        datasets=tested,
        rows=tuple(rows),
        pooled=pooled,
        settings=deciding(settings),
    )


def deciding(settings: TrainerSettings) -> dict[str, Any]:
    """The settings that decide the figures, as plain values."""
    return settings.model_dump(mode="json", exclude=_IDLE_SETTINGS)


def _within(split: Prepared, datasets: Sequence[str]) -> Prepared:
    """The images of some datasets, in the same order."""
    index = split.index
    chosen = np.flatnonzero(np.isin(index.datasets, list(datasets)))
    labels = index.labels[chosen]
    return Prepared(
        dataclasses.replace(
            index,
            sha256=np.take(index.sha256, chosen).tolist(),
            labels=labels,
            patients=np.take(index.patients, chosen).tolist(),
            datasets=np.take(index.datasets, chosen).tolist(),
        ),
        Split(
            lambda indices, view: split.embeddings.rows(chosen[indices], view),
            labels,
            split.embeddings.views,
        ),
        None,
    )


def _learn(
    trained_on: Sequence[str],
    train: Prepared,
    validation: Prepared,
    test: Prepared,
    settings: TrainerSettings,
) -> tuple[Output, NDArray[np.float32]]:
    """A head's calibration and operating point, and its probabilities, [N], of the test images.

    Raises:
      TrainingError: if there is nothing to learn from.
    """
    for split, name in ((train, TRAIN), (validation, VALIDATION)):
        if not split.index.sha256:
            raise TrainingError(f"there is no image of it in the {name} split")
    imbalance = balance(train.index.labels, [_FINDING], settings)
    with tempfile.TemporaryDirectory() as scratch:
        head, _ = train_head(
            train.embeddings,
            validation.embeddings,
            imbalance,
            settings,
            Workplace(unfinished=Path(scratch), log_dir=Path(scratch) / "logs"),
        )
    (output,) = fit_outputs(
        # The name stands in warnings, of which each head may give some.
        [f"{_FINDING}, trained on {' and '.join(trained_on)}"],
        predict_logits(head, validation.embeddings),
        validation.index.labels.astype(np.int64),
        settings,
        prior_shift=imbalance.prior_shift,
        patients=validation.index.patients,
    )
    return output, output.calibration(predict_logits(head, test.embeddings)[:, 0])


def _row(trained_on: tuple[str, ...], train: Prepared, validation: Prepared, **found: Any) -> Row:
    return Row(
        trained_on=trained_on,
        images=len(train.index.sha256),
        positives=int(train.index.labels.sum()),
        validation_images=len(validation.index.sha256),
        **found,
    )


def _cell(dataset: str, test: Index, probabilities: NDArray[np.float32], threshold: float) -> Cell:
    here = np.array(test.datasets) == dataset
    return measure_cell(
        dataset,
        _labels(test)[here],
        probabilities[here],
        np.array(test.patients)[here].tolist(),
        threshold,
    )


def _pool(train: Index, test: Index, probabilities: NDArray[np.float32]) -> Pooled | None:
    labels, whose = _labels(train), np.array(train.datasets)
    prevalence = {name: float(labels[whose == name].mean()) for name in sorted(set(whose.tolist()))}
    # Of a dataset that nothing was learnt from, no prevalence is known.
    known = np.isin(test.datasets, list(prevalence))
    return pool(
        np.array(test.datasets)[known].tolist(),
        _labels(test)[known],
        probabilities[known],
        prevalence,
    )


def _labels(index: Index) -> NDArray[np.int64]:
    return index.labels[:, 0].astype(np.int64)
