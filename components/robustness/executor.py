"""Artifacts in, artifacts out."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils
from tfx.utils import path_utils

from components import progress, storage
from components.errors import InputError
from components.example_gen import record
from components.robustness import figures, report, sampling
from components.robustness.corruptions import CORRUPTIONS, Corruption
from components.robustness.settings import RobustnessSettings
from components.trainer.index import read_index
from components.trainer.tasks import TASKS

EXAMPLES = "examples"
MODEL = "model"
REPORT = "report"
SPLIT = "split"
LABELS = "labels"
SETTINGS = "settings"
CODE = "code"

_SIGNATURE = "serving_default"
_BATCH = 32

Predict = Callable[[Sequence[bytes]], NDArray[np.float64]]


class Executor(base_executor.BaseExecutor):
    """Makes films worse, asks the model about them, and writes how well it does."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Run the node, see `Robustness`.

        Raises:
          InputError: if the split has no image.
        """
        settings = RobustnessSettings.model_validate_json(exec_properties[SETTINGS])
        task, split = TASKS[exec_properties[LABELS]], exec_properties[SPLIT]
        files = _files(input_dict[EXAMPLES], split)
        index = read_index(files, task.feature, len(task.outputs))
        if not index.sha256:
            raise InputError(f"{split} has no images to try a model on: robustness.enabled=false")
        labels, datasets = index.labels.astype(np.int64), np.array(index.datasets)
        rows = sampling.stratified_sample(
            datasets, labels.max(axis=1), settings.max_images, settings.seed
        )
        labels, datasets = labels[rows], datasets[rows]
        encoded = _read(files, [index.sha256[row] for row in rows])
        predict = _load(artifact_utils.get_single_uri(input_dict[MODEL]))

        trials = [(one, n) for one in CORRUPTIONS for n in range(1, settings.severities + 1)]
        total = len(encoded) * (1 + len(trials))
        found = figures.figures(
            _predict_all(predict, iter(encoded.values()), 0, total), labels, datasets, task.outputs
        )
        for number, (corruption, severity) in enumerate(trials, start=1):
            worse = _worsen(encoded, corruption, severity, settings.seed)
            found += figures.figures(
                _predict_all(predict, worse, number * len(encoded), total),
                labels,
                datasets,
                task.outputs,
                corruption=corruption.name,
                severity=severity,
                level=corruption.levels[severity - 1],
            )
        report.write(
            artifact_utils.get_single_uri(output_dict[REPORT]),
            figures.Robustness(
                split=split,
                seed=settings.seed,
                max_images=settings.max_images,
                figures=tuple(found),
            ),
        )


def _files(examples: list[types.Artifact], split: str) -> list[str]:
    uri = artifact_utils.get_split_uri(examples, split)
    return sorted(str(file) for file in fileio.glob(f"{uri}/*.gz"))


def _read(files: Sequence[str], sha256: Sequence[str]) -> dict[str, bytes]:
    """The encoded images by sha256, in this order."""
    spec = {name: tf.io.FixedLenFeature([], tf.string) for name in (record.SHA256, record.IMAGE)}
    wanted = tf.constant(sha256)
    chosen = (
        storage.read_records(files)
        .map(lambda serialized: tf.io.parse_single_example(serialized, spec))
        .filter(lambda one: tf.reduce_any(one[record.SHA256] == wanted))
    )
    found = {one[record.SHA256].decode(): one[record.IMAGE] for one in chosen.as_numpy_iterator()}
    return {digest: found[digest] for digest in sha256}


def _worsen(
    encoded: Mapping[str, bytes], corruption: Corruption, severity: int, seed: int
) -> Iterator[bytes]:
    for digest, image in encoded.items():
        # By image: which others are beside it is no matter.
        rng = np.random.default_rng([seed, severity, int(digest, 16)])
        film = tf.io.decode_image(image, channels=1, expand_animations=False).numpy()[..., 0]
        yield corruption(film, severity, rng)


def _load(model_uri: str) -> Predict:
    """The exported model, as encoded images to probabilities, float64 [N, K]."""
    with storage.local_copy(path_utils.serving_model_path(model_uri)) as path:
        model = tf.saved_model.load(str(path))

    def predict(images: Sequence[bytes]) -> NDArray[np.float64]:
        answer = model.signatures[_SIGNATURE](image_bytes=tf.constant(images))
        return answer["probability"].numpy().astype(np.float64).reshape(len(images), -1)

    return predict


def _predict_all(
    predict: Predict, images: Iterator[bytes], done: int, total: int
) -> NDArray[np.float64]:
    """Probabilities of images that come one by one, of which none need stay: float64 [N, K]."""
    found: list[NDArray[np.float64]] = []
    while batch := list(itertools.islice(images, _BATCH)):
        found.append(predict(batch))
        done += len(batch)
        progress.report(done, total, "films scored, as they are and made worse")
    return np.concatenate(found)
