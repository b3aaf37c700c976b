"""Examples with drawn facts and tiny images, their statistics, and an ingest's account of them."""

import collections
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_data_validation as tfdv
from tensorflow_data_validation.statistics import stats_impl
from tfx import v1 as tfx
from tfx.types import standard_artifacts
from tfx_bsl.coders import example_coder

from components.data_gate import comparators
from components.data_gate.comparators import Measure
from components.data_gate.distance import Comparison, Distance, Kind
from components.data_gate.tables import Statistics
from components.example_gen import example, record

SPLITS = ("train", "val", "test")
PNG = tf.io.encode_png(np.zeros((2, 2, 1), np.uint8)).numpy()


def film(number: int, dataset: str = "pediatric", **changes: Any) -> tf.train.Example:
    """An Example; the same number is the same film, and neighbours differ in class.

    Args:
      number: of the film.
      dataset: whose it is.
      **changes: fields of the record or of its facts to replace.
    """
    rng = np.random.default_rng([number, len(dataset)])
    label = number % 2
    nih = dataset == "nih"
    values: dict[str, Any] = {
        "path": "",
        "dataset": dataset,
        "filename": f"{number}.png",
        "patient_id": f"{dataset}:{number}",
        "label": label,
        "findings": ("Pneumonia",) if label else ("No Finding",),
        "etiology": None if nih else ("virus" if label else "none"),
        "age_years": int(rng.integers(20, 80)) if nih else None,
        "sex": "FM"[int(rng.integers(2))] if nih else None,
        "view_position": ("PA", "AP")[int(rng.integers(2))] if nih else None,
    }
    facts: dict[str, Any] = {
        "sha256": f"{number:064x}",
        "format": "PNG" if nih else "JPEG",
        "height": 1024 if nih else int(rng.integers(400, 2000)),
        "width": 1024 if nih else int(rng.integers(600, 2500)),
        "file_bytes": int(rng.integers(50_000, 90_000)),
        "mean": float(rng.normal(0.5, 0.05)),
        "std": float(rng.normal(0.22, 0.02)),
        "p01": float(rng.uniform(0, 0.1)),
        "p99": float(rng.uniform(0.8, 1)),
        "black_border": float(rng.uniform(0, 0.5)),
        "sharpness": float(rng.uniform(0.001, 0.002)),
        "colour": 0.0,
        "polarity": float(rng.normal(0.5, 0.05)),
    }
    for name, value in changes.items():
        (facts if name in facts else values)[name] = value
    return example.to_example(record.XrayFile(**values), record.ImageFacts(**facts), PNG)


def films(numbers: Iterable[int], dataset: str = "pediatric", **changes: Any) -> list[Any]:
    """Several of them."""
    return [film(number, dataset, **changes) for number in numbers]


def statistics_of(examples: Sequence[tf.train.Example]) -> Statistics:
    """As StatisticsGen computes them, of one dataset."""
    decoder = example_coder.ExamplesToRecordBatchDecoder()
    batch = decoder.DecodeBatch([one.SerializeToString() for one in examples])
    options = tfdv.StatsOptions(schema=comparators.read_schema())
    return stats_impl.generate_statistics_in_memory(batch, options).datasets[0]


def write_examples(folder: Path, splits: Mapping[str, Sequence[tf.train.Example]]) -> Path:
    """What ExampleGen writes."""
    for split, examples in splits.items():
        path = folder / f"Split-{split}" / "data_tfrecord-00000-of-00001.gz"
        path.parent.mkdir(parents=True)
        with tf.io.TFRecordWriter(str(path), "GZIP") as writer:
            for one in examples:
                writer.write(one.SerializeToString())
    return folder


def account(counts: Mapping[str, Mapping[str, tuple[int, int]]]) -> dict[str, Any]:
    """What ExampleGen tells of an ingest without any fault.

    Args:
      counts: of normals and pneumonias, by split and dataset.
    """
    datasets = sorted({name for own in counts.values() for name in own})
    kept = collections.Counter[str]()
    for own in counts.values():
        kept.update({name: sum(pair) for name, pair in own.items()})
    fates = ("quarantined", "bad row", "duplicate", "not on disk", "out of scope", "surplus")
    none = dict.fromkeys(fates, 0)
    return {
        "read": kept.total(),
        "kept": kept.total(),
        "labels": "pneumonia",
        "class_names": list(record.CLASS_NAMES),
        "sources": {name: {"folder": "", "normals_per_pneumonia": None} for name in datasets},
        "split": {
            "method": "by_patient",
            "fractions": {},
            "salt": "cxr",
            "near_duplicates": "join",
        },
        "quality": "quarantine",
        "fates": {"kept": kept.total()} | none,
        "left_out": {},
        "left_out_files": {},
        "datasets": {
            name: {"read": kept[name], "fates": {"kept": kept[name]} | none} for name in datasets
        },
        "splits": {
            split: {
                name: {
                    "images": sum(pair),
                    "patients": sum(pair),
                    "classes": dict(zip(record.CLASS_NAMES, pair, strict=True)),
                    "findings": {},
                }
                for name, pair in own.items()
            }
            for split, own in counts.items()
        },
        "unsampled": {},
        "ignored_values": {},
        "suspects": {},
        "duplicates": {"exact": {"groups": 0, "files": 0}, "near": {"groups": 0, "files": 0}},
        "leakage": {"patients": 0, "exact_duplicates": 0, "near_duplicates": 0},
    }


def comparison(
    kind: Kind = Kind.SKEW, value: float = 0.28, gated: bool = True, dataset: str = "pediatric"
) -> Comparison:
    """Train against test, or against the last run, of which two features may be too far off."""
    images = (3500, 820) if gated else (3500, 82)
    distances = (
        Distance("image/mean", Measure.DIVERGENCE, 0.02, 0.15, images, gated),
        Distance("image/p01", Measure.DIVERGENCE, value, 0.15, images, gated),
        Distance("sex", Measure.SHARE, value + 0.2, 0.2, images, gated),
    )
    second = "test" if kind is Kind.SKEW else "last run's train"
    return Comparison(kind, dataset, "train", second, images, gated, distances)


# What was compared with an earlier run.
SAME = [comparison(Kind.DRIFT, 0.0, dataset=name) for name in ("pediatric", "nih")]


def label_all(ingest: dict[str, Any], **counts: int) -> dict[str, Any]:
    """The same data as the ingest tells of it where all findings are labels."""
    names = ["no finding", "any finding"]
    ingest |= {"labels": "findings", "class_names": names}
    for own in ingest["splits"].values():
        for one in own.values():
            one["classes"] = dict(zip(names, one["classes"].values(), strict=True))
            one["findings"] = {"Mass": 1, "Hernia": 1, "Pneumonia": 1} | counts
    return ingest


@tfx.dsl.components.component
def Downstream(  # noqa: N802 (a component, made by a function)
    statistics: tfx.dsl.components.InputArtifact[standard_artifacts.ExampleStatistics],
    copy: tfx.dsl.components.OutputArtifact[standard_artifacts.ExampleStatistics],
    log: tfx.dsl.components.Parameter[str],
) -> None:
    """Stands for Transform and Trainer: notes that it ran."""
    with Path(log).open("a") as file:
        file.write(f"{statistics.uri}\n")
    Path(copy.uri, "done").touch()
