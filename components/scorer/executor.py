"""Artifacts in, artifacts out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import tensorflow as tf
from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils

from components import progress, storage
from components.errors import InputError
from components.example_gen.split import TEST, TEST_UNSAMPLED, VALIDATION
from components.scorer import scores
from components.scorer.exported_model import ExportedModel, read_outputs
from components.scorer.scoring import Answer, score
from components.scorer.settings import ScorerSettings

EXAMPLES = "examples"
MODEL = "model"
LAST_MODEL = "last_model"
SCORES = "scores"
SETTINGS = "settings"
CODE = "code"

# What the model was not trained on. The last of them repeats images of the one before.
SPLITS = (VALIDATION, TEST, TEST_UNSAMPLED)

_FILE = "data_tfrecord-00000-of-00001.gz"
_REPORT_EVERY = 50


class Executor(base_executor.BaseExecutor):
    """Runs the exported model over the images, once each, and writes what it says."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Run the node, see `Scorer`."""
        settings = ScorerSettings.model_validate_json(exec_properties[SETTINGS])
        examples = artifact_utils.get_single_instance(input_dict[EXAMPLES])
        model_uri = artifact_utils.get_single_uri(input_dict[MODEL])
        model = ExportedModel(model_uri)
        last_model = _last_model(input_dict.get(LAST_MODEL), model_uri, model)
        artifact = artifact_utils.get_single_instance(output_dict[SCORES])

        known: dict[str, Answer] = {}
        there = artifact_utils.decode_split_names(examples.split_names)
        splits = [split for split in SPLITS if split in there]
        for split in splits:
            files = _files(examples, split)
            rows = score(
                _records(files), model, last_model, known=known, batch_size=settings.batch_size
            )
            _write(rows, f"{artifact.uri}/Split-{split}", _count(files), f"{split} images scored")
        artifact.split_names = artifact_utils.encode_split_names(splits)
        index = {"outputs": model.outputs, "last_model": last_model is not None}
        with fileio.open(f"{artifact.uri}/{scores.INDEX_FILE}", "w") as file:
            json.dump(index, file)


def _last_model(
    artifacts: Sequence[types.Artifact] | None, model_uri: str, model: ExportedModel
) -> ExportedModel | None:
    """The last blessed model, if there is one that tells the same."""
    if not artifacts:
        return None
    uri = artifact_utils.get_single_uri(list(artifacts))
    if uri == model_uri:
        return model
    try:
        outputs = read_outputs(uri)
    except InputError as error:
        progress.warn(f"no comparison with the last blessed model: {error}")
        return None
    if outputs != model.outputs:
        progress.warn(
            f"no comparison with the last blessed model: it tells {', '.join(outputs)}, and this "
            f"one {', '.join(model.outputs)}"
        )
        return None
    return ExportedModel(uri)


def _files(examples: types.Artifact, split: str) -> list[str]:
    uri = artifact_utils.get_split_uri([examples], split)
    return sorted(str(file) for file in fileio.glob(f"{uri}/*.gz"))


def _records(files: Sequence[str]) -> Iterator[bytes]:
    # Read ahead of the network.
    yield from storage.read_records(files).prefetch(8).as_numpy_iterator()


def _count(files: Sequence[str]) -> int:
    return int(storage.read_records(files).reduce(0, lambda n, _: n + 1))


def _write(rows: Iterator[tf.train.Example], folder: str, total: int, what: str) -> None:
    with (
        storage.local_output(folder) as local,
        tf.io.TFRecordWriter(str(local / _FILE), "GZIP") as file,
    ):
        for done, row in enumerate(rows, start=1):
            file.write(row.SerializeToString())
            if done % _REPORT_EVERY == 0 or done == total:
                progress.report(done, total, what)
