"""The nodes that a cluster would run, each with its flags for Beam, and what they wrote as values
that can be compared."""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import tensorflow as tf
import tensorflow_data_validation as tfdv
import tensorflow_model_analysis as tfma
from google.protobuf import json_format
from tfx import types
from tfx.components.statistics_gen import executor as statistics_gen
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.types import artifact_utils, standard_artifacts

from components.data_gate.schema import curated_schema
from components.data_gate.slices import statistics_options
from components.evaluator.settings import EvaluatorSettings
from components.example_gen import executor as example_gen
from components.example_gen.artifacts import IngestReport
from components.example_gen.component import XrayExampleGen
from components.example_gen.datasets.source import Source
from components.example_gen.settings import Quality, Split
from components.example_gen.split import TRAIN
from components.explanation.colours import blending_table
from components.grad_cam import executor as grad_cam
from components.grad_cam.artifacts import ExplanationReport
from components.grad_cam.settings import GradCamSettings
from tests.components.evaluator.evaluations import evaluate, scored_example
from tests.components.grad_cam import made

DATASETS = ("pediatric", "nih")


@dataclasses.dataclass(frozen=True)
class Ingest:
    """What ExampleGen wrote.

    Attributes:
      examples: the artifact.
      splits: how often each Example is in each split, by the digest of its canonical bytes.
      report: the account of the ingest.
    """

    examples: types.Artifact
    splits: Mapping[str, Mapping[bytes, int]]
    report: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Explained:
    """What GradCamReport wrote: the index, and the pictures' bytes by their names."""

    index: Mapping[str, Any]
    pictures: Mapping[str, bytes]


def ingest(folders: Mapping[str, Path | str], out: Path, flags: Sequence[str]) -> Ingest:
    """XrayExampleGen over the folders of datasets, which may be URIs."""
    node = XrayExampleGen(
        sources={name: Source(folder=str(folder)) for name, folder in folders.items()},
        split=Split.model_validate({"fractions": {"train": 0.6, "val": 0.2, "test": 0.2}}),
        quality=Quality(),
        fingerprint="",
        code="",
    )
    examples = _artifact(standard_artifacts.Examples, out / "examples")
    report = _artifact(IngestReport, out / "report")
    Path(report.uri).mkdir(parents=True)
    example_gen.Executor(_context(out, flags)).Do(
        {}, {"examples": [examples], "report": [report]}, dict(node.exec_properties)
    )
    splits = {
        name: collections.Counter(map(_digest, _records(examples, name)))
        for name in artifact_utils.decode_split_names(examples.split_names)
    }
    return Ingest(examples, splits, json.loads((Path(report.uri) / "ingest.json").read_text()))


def statistics(examples: types.Artifact, out: Path, flags: Sequence[str]) -> dict[str, Any]:
    """StatisticsGen as the pipeline has it, of the training split; by dataset and feature."""
    splits = artifact_utils.decode_split_names(examples.split_names)
    schema = _artifact(standard_artifacts.Schema, out / "schema")
    Path(schema.uri).mkdir(parents=True)
    text = curated_schema(dict.fromkeys(DATASETS, Source()), Quality(), "pneumonia")
    (Path(schema.uri) / "schema.pbtxt").write_text(text)
    written = _artifact(standard_artifacts.ExampleStatistics, out / "statistics")
    statistics_gen.Executor(_context(out, flags)).Do(
        {"examples": [examples], "schema": [schema]},
        {"statistics": [written]},
        {
            "stats_options_json": statistics_options().to_json(),
            "exclude_splits": json.dumps([one for one in splits if one != TRAIN]),
        },
    )
    return _by_feature(Path(artifact_utils.get_split_uri([written], TRAIN)))


def evaluation(films: int, out: Path, flags: Sequence[str]) -> dict[str, Any]:
    """TFX's Evaluator as the pipeline has it, on made-up scores; figures by slice."""
    scores = [
        scored_example(
            number % 2,
            probability := (number * 37 % films) / films,
            int(probability >= 0.5),
            {"dataset": DATASETS[number % 3 % 2], "sex": "FM"[number % 5 % 2]},
        )
        for number in range(films)
    ]
    found = evaluate(
        out, scores, EvaluatorSettings(min_auc=dict.fromkeys(DATASETS, 0.5)), DATASETS, flags=flags
    )
    result = tfma.load_eval_result(found.uri)
    figures = {str(slice_key): metrics for slice_key, metrics in result.slicing_metrics}
    return {"figures": figures, "blessed": found.blessed}


def explanations(
    films: Sequence[tf.train.Example],
    model: types.Artifact,
    out: Path,
    flags: Sequence[str],
    cases: int | Literal["all"] = 9,
) -> Explained:
    """GradCamReport of some cases."""
    report = _artifact(ExplanationReport, out / "explanations")
    grad_cam.Executor(_context(out, flags)).Do(
        {
            "examples": [made.examples_artifact(out / "films", films)],
            "scores": [made.scores_artifact(out / "scores", films)],
            "model": [model],
        },
        {"report": [report]},
        {
            "split": "test",
            "finding": "",
            "settings": GradCamSettings(cases=cases).model_dump_json(),
            "code": "",
        },
    )
    folder = Path(report.uri)
    index = json.loads((folder / grad_cam.INDEX_FILE).read_text("utf-8"))
    # Where it was read from is not what was found.
    del index["sources"]
    pictures = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.suffix in (".png", ".jpg")
    }
    return Explained(index, pictures)


def without_sketches(
    counted: Mapping[str, Any],
) -> tuple[dict[str, Any], list[tuple[float, float]]]:
    """Divide statistics into what is exact, and what TFDV's sketches estimate.

    Args:
      counted: as `statistics` gives it.

    Returns:
      Counts and moments; and the lower bounds of all quantiles, each with its feature's range. What
      sketches tell depends on the order in which they were merged.
    """
    exact: dict[str, Any] = {}
    bounds: list[tuple[float, float]] = []
    for dataset, found in counted.items():
        for feature, told in sorted(found["features"].items()):
            values = dict(told.get("numStats", told.get("stringStats", {})))
            width = float(values.get("max", 0)) - float(values.get("min", 0))
            for histogram in values.pop("histograms", []):
                if histogram.get("type") == "QUANTILES" and width > 0:
                    lows = [float(one.get("lowValue", 0)) for one in histogram["buckets"]]
                    bounds += [(low, width) for low in lows]
            for estimated in ("median", "unique", "topValues", "rankHistogram"):
                values.pop(estimated, None)
            if "commonStats" in values:
                common = dict(values["commonStats"])
                common.pop("numValuesHistogram", None)
                values["commonStats"] = common
            exact[f"{dataset}/{feature}"] = values
        exact[dataset] = found["num_examples"]
    return exact, bounds


def close(one: Any, other: Any, relative: float) -> bool:
    """Whether two nests of plain values are the same, but for the rounding of numbers."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(
            close(one[key], other[key], relative) for key in one
        )
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(
            close(*pair, relative) for pair in zip(one, other, strict=True)
        )
    if isinstance(one, float) and isinstance(other, float):
        same = math.isnan(one) and math.isnan(other)
        return same or math.isclose(one, other, rel_tol=relative, abs_tol=relative)
    return bool(one == other)


def same_pictures(one: Mapping[str, bytes], other: Mapping[str, bytes]) -> bool:
    """Whether pictures of maps that may differ by rounding are the same.

    Films have no map in them. Of the others a map's rounding may move a pixel from one of the 256
    levels of heat to the next, and so each of its colours by what lies between two of those.
    """
    colours = int(np.abs(np.diff(blending_table(1.0).astype(int), axis=0)).max())
    return one.keys() == other.keys() and all(
        one[name] == other[name]
        if name.startswith("films/")
        else _within(one[name], other[name], colours)
        for name in one
    )


def _within(one: bytes, other: bytes, colours: int) -> bool:
    first, second = (
        cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_UNCHANGED).astype(int)
        for picture in (one, other)
    )
    if first.shape != second.shape:
        return False
    gaps = np.abs(first - second)
    # Of a layer of heat the fourth is the level itself.
    return bool((gaps[..., :3] <= colours).all() and (gaps[..., 3:] <= 1).all())


def _context(out: Path, flags: Sequence[str]) -> BaseBeamExecutor.Context:
    return BaseBeamExecutor.Context(
        beam_pipeline_args=list(flags), tmp_dir=str(out / "tmp"), unique_id="1"
    )


def _artifact(kind: type[types.Artifact], folder: Path) -> types.Artifact:
    artifact = kind()
    artifact.uri = str(folder)
    return artifact


def _records(examples: types.Artifact, split: str) -> Iterator[bytes]:
    files = sorted(map(str, Path(artifact_utils.get_split_uri([examples], split)).iterdir()))
    assert files
    yield from tf.data.TFRecordDataset(files, compression_type="GZIP").as_numpy_iterator()


def _digest(serialized: bytes) -> bytes:
    # The order of features within an Example is the writing process's.
    canonical = tf.train.Example.FromString(serialized).SerializeToString(deterministic=True)
    return hashlib.sha256(canonical).digest()


def _by_feature(folder: Path) -> dict[str, Any]:
    written = tfdv.load_stats_binary(str(folder / "FeatureStats.pb"))
    return {
        dataset.name: {
            "num_examples": int(dataset.num_examples),
            "features": {
                tuple(one.path.step): json_format.MessageToDict(one) for one in dataset.features
            },
        }
        for dataset in written.datasets
    }
