"""Real evaluations, by the pipeline's Evaluator, of scores that tests make up."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf import json_format
from tfx.dsl.components.base import base_beam_executor
from tfx.types import artifact_utils, standard_artifacts

from components.evaluator.eval_config import build_eval_config
from components.evaluator.settings import EvaluatorSettings
from components.evaluator.tfma_evaluator import Executor
from components.example_gen.record import Labels

IN_MEMORY = (
    "--direct_running_mode=in_memory",
    "--direct_num_workers=1",
    "--sdk_container_image=cxr",
)


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What the Evaluator left."""

    uri: str
    blessed: bool


def scored_example(
    label: Any, probability: Any, decision: Any, features: Mapping[str, str | None]
) -> tf.train.Example:
    """As the Scorer writes it: with one label and answer, or one for each finding."""
    one = tf.train.Example()
    values = one.features.feature
    name = "label" if np.ndim(label) == 0 else "finding_labels"
    values[name].int64_list.value.extend(np.atleast_1d(label).tolist())
    values["probability"].float_list.value.extend(np.atleast_1d(probability).tolist())
    values["decision"].int64_list.value.extend(np.atleast_1d(decision).tolist())
    for name, value in features.items():
        if value:
            values[name].bytes_list.value.append(value.encode())
    return one


def evaluate(
    folder: Path,
    examples: Iterable[tf.train.Example],
    settings: EvaluatorSettings,
    gated: Iterable[str],
    labels: Labels = "pneumonia",
    flags: Sequence[str] = IN_MEMORY,
) -> Evaluation:
    """Evaluate scores as the pipeline does, with flags for Beam."""
    split = folder / "scores" / "Split-test"
    split.mkdir(parents=True)
    with tf.io.TFRecordWriter(str(split / "data_tfrecord-00000-of-00001.gz"), "GZIP") as writer:
        for one in examples:
            writer.write(one.SerializeToString())
    scores = standard_artifacts.Examples()
    scores.uri = str(folder / "scores")
    scores.split_names = artifact_utils.encode_split_names(["test"])
    # There is nothing in it: whoever would load the model fails.
    model = standard_artifacts.Model()
    model.uri = str(folder / "model")
    evaluation, blessing = standard_artifacts.ModelEvaluation(), standard_artifacts.ModelBlessing()
    evaluation.uri, blessing.uri = str(folder / "evaluation"), str(folder / "blessing")
    context = base_beam_executor.BaseBeamExecutor.Context(
        beam_pipeline_args=list(flags),
        tmp_dir=str(folder / "tmp"),
        unique_id="1",
    )
    config = build_eval_config(settings, gated, labels)
    Executor(context).Do(
        {"examples": [scores], "model": [model]},
        {"evaluation": [evaluation], "blessing": [blessing]},
        {
            "eval_config": json_format.MessageToJson(config, preserving_proto_field_name=True),
            "example_splits": json.dumps(["test"]),
        },
    )
    return Evaluation(evaluation.uri, blessing.get_int_custom_property("blessed") == 1)
