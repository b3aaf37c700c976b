"""The recipes measured on test images: the head alone, and with what is fine-tuned after it."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np

from components import storage
from components.example_gen.split import TEST, TRAIN, VALIDATION
from components.plain import Plain
from components.source_digest import source_digest
from components.statistics.bootstrap import patient_bootstrap
from components.statistics.interval import Interval
from components.statistics.proportions import wilson
from components.statistics.roc import auc
from components.trainer.batches import Split
from components.trainer.calibration_error import expected_calibration_error
from components.trainer.classifier import build_tail
from components.trainer.imbalance import balance
from components.trainer.network import build_network
from components.trainer.outputs import Output, fit_outputs
from components.trainer.preparation import Prepared, cache_root, open_preparation
from components.trainer.tasks import TASKS
from components.trainer.training import Workplace, fine_tune, predict_logits, train_head
from pipeline.config import Config

HEAD = "head"


class Figures(Plain):
    """One trained model on one dataset's test images; intervals are over resampled patients.

    That of a rate of 0 or 1 is Wilson's (1927), of as many trials as there are patients, since all
    resamples have the same.

    Attributes:
      experiment: its name.
      trainable: what was trained, in the words of the settings.
      dataset: whose test images.
      seed: of everything random.
      images: test images.
      positives: test images with pneumonia.
      auc: area under the ROC curve.
      ece: expected calibration error on the test images.
      sensitivity: at the operating point, which was chosen on validation.
      specificity: likewise.
      validation_ece_before: of uncalibrated scores on validation.
      validation_ece_after: of scores calibrated on other folds of validation.
      frozen_seconds: in which training and validation images went through the frozen part; next to
        nothing where an earlier experiment had left them in the cache.
      training_seconds: in which the head, and what is fine-tuned with it, learnt.
    """

    experiment: str
    trainable: str
    dataset: str
    seed: int
    images: int
    positives: int
    auc: Interval
    ece: Interval
    sensitivity: Interval
    specificity: Interval
    validation_ece_before: float | None
    validation_ece_after: float | None
    frozen_seconds: float
    training_seconds: float


def measure(
    config: Config, examples: str, transform_graph: str, *, trainable: str, seed: int
) -> Iterator[Figures]:
    """Train once, and measure both after the head was trained and after fine-tuning.

    Args:
      config: the experiment, of one finding.
      examples: URI of its Examples.
      transform_graph: URI of its Transform graph.
      trainable: what is fine-tuned, in the words of the settings.
      seed: of everything random.
    """
    settings = config.trainer.model_copy(update={"seed": seed, "trainable": trainable})
    task = TASKS[config.data.labels]
    network = build_network(settings, config.transform.image_size)
    node = {"labels": config.data.labels, "preprocessing": source_digest("transform")}
    with tempfile.TemporaryDirectory() as scratch, storage.local_copy(transform_graph) as graph:
        preparation = open_preparation(
            network, settings, node, str(graph), cache_root(settings, Path(scratch))
        )
        clock = _Clock()
        splits = {
            name: preparation.split(name, [f"{examples}/Split-{name}/*"], views=name == TRAIN)
            for name in (TRAIN, VALIDATION)
        }
        frozen = clock.lap()
        splits[TEST] = preparation.split(TEST, [f"{examples}/Split-{TEST}/*"])
        preparation.evict(in_use=())
        imbalance = balance(splits[TRAIN].index.labels, task.outputs, settings)
        workplace = Workplace(Path(scratch), Path(scratch) / "logs")

        def judge(
            what: str, model: keras.Model, rows: Callable[[Prepared], Split], seconds: float
        ) -> Iterator[Figures]:
            validation, test = splits[VALIDATION], splits[TEST]
            (output,) = fit_outputs(
                task.outputs,
                predict_logits(model, rows(validation)),
                validation.index.labels.astype(np.int64),
                settings,
                prior_shift=imbalance.prior_shift,
                patients=validation.index.patients,
            )
            logits = predict_logits(model, rows(test))[:, 0]
            for dataset, figures in _by_dataset(test, logits, output).items():
                yield Figures(
                    experiment=config.name,
                    trainable=what,
                    dataset=dataset,
                    seed=seed,
                    frozen_seconds=frozen,
                    training_seconds=seconds,
                    **figures,
                )

        clock.lap()
        head, _ = train_head(
            splits[TRAIN].embeddings, splits[VALIDATION].embeddings, imbalance, settings, workplace
        )
        head_seconds = clock.lap()
        yield from judge(HEAD, head, lambda split: split.embeddings, head_seconds)
        if network.suffix is None:
            return
        clock.lap()
        fine_tune(
            network.suffix,
            head,
            _activations(splits[TRAIN]),
            _activations(splits[VALIDATION]),
            imbalance,
            settings,
            workplace,
        )
        seconds = head_seconds + clock.lap()
        yield from judge(trainable, build_tail(network.suffix, head), _activations, seconds)


class _Clock:
    """Seconds since the last look."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def lap(self) -> float:
        last, self._last = self._last, time.monotonic()
        return self._last - last


def _activations(split: Prepared) -> Split:
    assert split.activations is not None
    return split.activations


def _by_dataset(test: Prepared, logits: np.ndarray, output: Output) -> dict[str, dict[str, Any]]:
    labels = test.index.labels[:, 0].astype(int)
    datasets, patients = np.array(test.index.datasets), np.array(test.index.patients)
    probabilities = output.calibration(logits)
    decisions = probabilities >= output.operating_point.threshold
    error = output.calibration_error
    found: dict[str, dict[str, Any]] = {}
    for dataset in sorted(set(test.index.datasets)):
        here = datasets == dataset
        found[dataset] = {
            "images": int(here.sum()),
            "positives": int(labels[here].sum()),
            **_figures(
                labels[here], logits[here], probabilities[here], decisions[here], patients[here]
            ),
            "validation_ece_before": error.ece_before if error else None,
            "validation_ece_after": error.ece_after if error else None,
        }
    return found


def _figures(
    labels: np.ndarray,
    logits: np.ndarray,
    probabilities: np.ndarray,
    decisions: np.ndarray,
    patients: np.ndarray,
) -> dict[str, Interval]:
    def bootstrap(statistic: Callable[[np.ndarray], float], *, centred: bool = False) -> Interval:
        return patient_bootstrap(statistic, patients, centred=centred)

    def rate(right: np.ndarray, among: np.ndarray) -> Interval:
        # All right, or all wrong, they are so in every resample, which is no certainty.
        if right[among].all() or not right[among].any():
            trials = len(set(patients[among]))
            return wilson(trials if right[among].any() else 0, trials)
        return bootstrap(
            lambda drawn: (
                float(right[drawn][among[drawn]].mean()) if among[drawn].any() else float("nan")
            )
        )

    return {
        "auc": bootstrap(lambda drawn: auc(labels[drawn], logits[drawn])),
        "ece": bootstrap(
            lambda drawn: expected_calibration_error(probabilities[drawn], labels[drawn]),
            centred=True,
        ),
        "sensitivity": rate(decisions, labels == 1),
        "specificity": rate(~decisions, labels == 0),
    }
