"""What a served model's requests are compared with: statistics of the films it was made with.

TFDV's statistics of the scalars of signature `measure`, and of the probability, over sampled
training and validation films, beside the model. Distances and probabilities are those of
validation films alone: a model knows its training films too well. `cxr drift` reads them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import statistics_pb2

from components.trainer import input_sanity
from components.trainer.film_sample import FilmSample
from components.trainer.input_sanity import Reference

STATISTICS = "assets.extra/training_statistics.pb"


def write_statistics(
    model_dir: Path,
    training: FilmSample,
    validation: FilmSample,
    reference: Reference,
    probabilities: Mapping[str, np.ndarray],
) -> None:
    """Write them beside a SavedModel.

    Args:
      model_dir: of the SavedModel.
      training: sampled films.
      validation: likewise.
      reference: of the distances.
      probabilities: of the validation films, by `probability_names`, each float32 [N].
    """
    columns = {
        name: np.concatenate([values, validation.scalars[name]])
        for name, values in training.scalars.items()
    }
    distances = input_sanity.distance(validation.layouts, validation.embeddings, reference).numpy()
    unknown = np.full(len(training), np.nan)
    for name, values in {"distance": distances, **probabilities}.items():
        columns[name] = np.concatenate([unknown, values])
    path = model_dir / STATISTICS
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(generate_statistics(columns).SerializeToString(deterministic=True))


def probability_names(findings: Sequence[str]) -> list[str]:
    """How probabilities are called in statistics and request logs.

    Args:
      findings: the names of the model's outputs.

    Returns:
      `probability` for a single finding; `probability/FINDING` for each of several.
    """
    return ["probability"] if len(findings) == 1 else [f"probability/{one}" for one in findings]


def generate_statistics(
    columns: Mapping[str, np.ndarray],
) -> statistics_pb2.DatasetFeatureStatisticsList:
    """TFDV's statistics of scalars.

    Args:
      columns: by name, float [N]; NaN where an image has no value.
    """
    return tfdv.generate_statistics_from_dataframe(
        pd.DataFrame({name: np.asarray(values, np.float64) for name, values in columns.items()})
    )
