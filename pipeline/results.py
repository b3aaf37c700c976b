"""The recipes measured on test images: the head alone, and with what is fine-tuned after it."""

from __future__ import annotations

import dataclasses
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from sklearn.metrics import roc_auc_score

from components.example_gen.split import TEST, TRAIN, VALIDATION
from components.source_digest import source_digest
from components.trainer.batches import Split
from components.trainer.calibration_error import expected_calibration_error
from components.trainer.classifier import build_tail
from components.trainer.imbalance import balance
from components.trainer.outputs import Output, fit_outputs
from components.trainer.preparation import (
    TASKS,
    Prepared,
    build_network,
    cache_root,
    open_preparation,
)
from components.trainer.training import Workplace, fine_tune, predict_logits, train_head
from pipeline.config import Config

HEAD = "head"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Figures:
    """One trained model on one dataset's test images.

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
    auc: float
    ece: float
    sensitivity: float
    specificity: float
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
    with tempfile.TemporaryDirectory() as scratch:
        preparation = open_preparation(
            network, settings, node, transform_graph, cache_root(settings, Path(scratch))
        )
        clock = _Clock()
        splits = {
            name: preparation.split(name, [f"{examples}/Split-{name}/*"], views=name == TRAIN)
            for name in (TRAIN, VALIDATION)
        }
        frozen = clock.lap()
        splits[TEST] = preparation.split(TEST, [f"{examples}/Split-{TEST}/*"])
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


def table(figures: Sequence[Figures]) -> str:
    """A table in Markdown: the mean over seeds, and the lowest and highest."""
    lines = [
        "| experiment | trained | test images (pneumonia) | AUC | ECE | sensitivity | specificity "
        "| validation ECE before → after | seconds |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    groups: dict[tuple[str, str, str], list[Figures]] = {}
    for one in figures:
        groups.setdefault((one.experiment, one.dataset, one.trainable), []).append(one)
    for (experiment, dataset, trainable), seeds in groups.items():
        name = experiment if experiment == dataset else f"{experiment}: {dataset}"
        before, after = (
            _mean([getattr(one, f"validation_ece_{when}") for one in seeds])
            for when in ("before", "after")
        )
        lines.append(
            f"| {name} | {trainable} | {seeds[0].images} ({seeds[0].positives}) "
            + "".join(
                f"| {_range([getattr(one, figure) for one in seeds])} "
                for figure in ("auc", "ece", "sensitivity", "specificity")
            )
            + f"| {before} → {after} "
            + f"| {statistics.mean(one.training_seconds for one in seeds):.0f} |"
        )
    return "\n".join(lines)


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
    datasets = np.array(test.index.datasets)
    probabilities = output.calibration(logits)
    decisions = probabilities >= output.operating_point.threshold
    error = output.calibration_error
    found: dict[str, dict[str, Any]] = {}
    for dataset in sorted(set(test.index.datasets)):
        here = datasets == dataset
        positive, negative = here & (labels == 1), here & (labels == 0)
        found[dataset] = {
            "images": int(here.sum()),
            "positives": int(positive.sum()),
            "auc": float(roc_auc_score(labels[here], logits[here])),
            "ece": expected_calibration_error(probabilities[here], labels[here]),
            "sensitivity": float(decisions[positive].mean()),
            "specificity": float(1 - decisions[negative].mean()),
            "validation_ece_before": error.ece_before if error else None,
            "validation_ece_after": error.ece_after if error else None,
        }
    return found


def _mean(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{statistics.mean(known):.3f}" if known else "-"


def _range(values: Sequence[float]) -> str:
    return f"{statistics.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})"
