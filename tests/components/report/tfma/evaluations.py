"""Evaluations by TFMA itself, of scores that are made up."""

from pathlib import Path

import apache_beam as beam
import numpy as np
import pandas as pd
import pyarrow as pa
import tensorflow_model_analysis as tfma
from apache_beam.options.pipeline_options import PipelineOptions
from tensorflow_model_analysis.proto import config_pb2

from components.evaluator.eval_config import DECISION, PROBABILITY, build_eval_config
from components.evaluator.settings import EvaluatorSettings
from components.example_gen import record

IMAGES = 240
# Values of a feature, as a hostile file of metadata may hold them.
HOSTILE = (
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(2)</script>",
    '"><svg onload=alert(3)>',
    "<tfma-int64 data=9></tfma-int64>",
    "{{ 7 * 7 }}",
)
# Whose images are all without pneumonia.
OF_ONE_CLASS = "NaN"


def binary(out: Path) -> str:
    """Of pneumonia, sliced by dataset, sex and an etiology of hostile names."""
    rng = np.random.default_rng(0)
    etiologies = np.array([*HOSTILE, OF_ONE_CLASS])[np.arange(IMAGES) % (len(HOSTILE) + 1)]
    labels = ((rng.random(IMAGES) < 0.4) & (etiologies != OF_ONE_CLASS)).astype(int)
    scores = np.clip(rng.normal(0.35 + 0.3 * labels, 0.18), 0, 1)
    frame = pd.DataFrame(
        {
            record.LABEL: labels,
            PROBABILITY: scores,
            DECISION: (scores > 0.5).astype(int),
            record.DATASET: np.where(np.arange(IMAGES) % 4, "nih", "pediatric"),
            "sex": rng.choice(["F", "M"], IMAGES),
            "etiology": etiologies,
        }
    )
    config = _config(EvaluatorSettings(slices=("sex", "etiology")), "pneumonia")
    return _evaluate(frame, config, out)


def multi_label(out: Path) -> str:
    """Of all findings, of which no image has the last."""
    rng = np.random.default_rng(1)
    labels = (rng.random((IMAGES, len(record.PATHOLOGIES))) < 0.3).astype(int)
    labels[:, -1] = 0
    scores = np.clip(rng.normal(0.35 + 0.15 * labels, 0.15), 0, 1)
    frame = pd.DataFrame(
        {
            record.FINDING_LABELS: list(labels),
            PROBABILITY: list(scores),
            DECISION: list((scores > 0.45).astype(int)),
            record.DATASET: "nih",
        }
    )
    config = _config(EvaluatorSettings(slices=()), "findings")
    return _evaluate(frame, config, out)


def _config(settings: EvaluatorSettings, labels: record.Labels) -> config_pb2.EvalConfig:
    config = build_eval_config(settings, [], labels)
    label_keys = dict(config.model_specs[0].label_keys)
    # There is no model to run: its outputs stand in the data.
    spec = config_pb2.ModelSpec(
        label_keys=label_keys, prediction_keys={output: output for output in label_keys}
    )
    config.model_specs[0].CopyFrom(spec)
    return config


def _evaluate(frame: pd.DataFrame, config: config_pb2.EvalConfig, out: Path) -> str:
    """As `tfma.analyze_raw_data` does, which knows of one output only."""
    columns = {
        name: [one if isinstance(one, np.ndarray) else [one] for one in column]
        for name, column in frame.items()
    }
    options = PipelineOptions(["--direct_running_mode=in_memory"])
    with beam.Pipeline(options=options) as pipeline:
        _ = (
            pipeline
            | beam.Create([pa.RecordBatch.from_pydict(columns)])
            | tfma.ExtractEvaluateAndWriteResults(eval_config=config, output_path=str(out))
        )
    return str(out)
