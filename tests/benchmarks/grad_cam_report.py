"""The report of every film of a split, against the plain forward pass over the same films.

    python -m tests.benchmarks.grad_cam_report

The baseline is the Scorer's way through the same exported model: `serving_examples` in batches.
Both are asked in turns within one process, after a first call each that is not timed, so that
starting and tracing counts for neither; Beam's own start is within the node's time. The node
explains, draws and writes three pictures for each film, and the page and the index. Films are
synthetic and weights random.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.types import Artifact, artifact_utils, standard_artifacts

from components.example_gen import record
from components.grad_cam import executor
from components.grad_cam.artifacts import ExplanationReport
from components.grad_cam.settings import GradCamSettings
from components.scorer.exported_model import ExportedModel
from components.scorer.scoring import score
from components.trainer.contract_file import CONTRACT
from pipeline.beam import BeamSettings, beam_args
from tests import examples
from tests.benchmarks.serving_latency import STANDARDISED_ON, build, draw, export

SHARDS = 2
BATCH = 32


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", default="DenseNet121")
    parser.add_argument("--films", type=int, default=689)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        films = [_example(number) for number in range(arguments.films)]
        model = _model(arguments.backbone, root / "model")
        shown = _split(root / "examples", [films[i::SHARDS] for i in range(SHARDS)])
        scoring = ExportedModel(model.uri)
        scores = _split(root / "scores", [_scored(films, scoring)])
        index = {"outputs": scoring.outputs, "last_model": False}
        (root / "scores" / "scores.json").write_text(json.dumps(index))

        def forward() -> None:
            for start in range(0, len(films), BATCH):
                scoring(films[start : start + BATCH])

        def report(cases: int | str = "all") -> None:
            _report(root, {"examples": [shown], "scores": [scores], "model": [model]}, cases)

        scoring(films[:BATCH])
        report(cases=1)
        times: dict[str, list[float]] = {"forward": [], "report": []}
        for _ in range(arguments.rounds):
            for name, ask in (("forward", forward), ("report", report)):
                started = time.monotonic()
                ask()
                times[name].append(time.monotonic() - started)
    forwards, reports = (float(np.median(times[name])) for name in ("forward", "report"))
    print(f"{arguments.backbone}, {arguments.films} films, {arguments.rounds} rounds; medians")
    print(f"  forward pass : {forwards:6.1f} s, {1000 * forwards / arguments.films:.1f} ms a film")
    print(f"  whole report : {reports:6.1f} s, {1000 * reports / arguments.films:.1f} ms a film")
    print(f"  ratio        : {reports / forwards:.2f}")


def _report(root: Path, inputs: dict[str, list[Artifact]], cases: int | str) -> None:
    with tempfile.TemporaryDirectory(dir=root) as out:
        output = _artifact(ExplanationReport, Path(out))
        context = BaseBeamExecutor.Context(
            beam_pipeline_args=beam_args(BeamSettings(), node="GradCamReport"),
            tmp_dir=f"{out}/tmp",
            unique_id="1",
        )
        executor.Executor(context).Do(
            inputs,
            {"report": [output]},
            {
                "split": "test",
                "finding": "",
                "settings": GradCamSettings(cases=cases).model_dump_json(),
                "code": "",
            },
        )


def _model(backbone: str, root: Path) -> Artifact:
    folder = root / "Format-Serving"
    classifier = build(backbone, [draw(number) for number in range(STANDARDISED_ON)])
    export(classifier, "float32", folder)
    contract = {
        "class_names": record.CLASS_NAMES,
        "outputs": [{"name": record.CLASS_NAMES[1], "operating_point": {"threshold": 0.5}}],
        "explanation": {
            "method": "grad_cam",
            "layer": "",
            "grid": [7, 7],
            "opacity": 0.6,
            "references": [0.1],
        },
    }
    (folder / CONTRACT).parent.mkdir(exist_ok=True)
    (folder / CONTRACT).write_text(json.dumps(contract))
    return _artifact(standard_artifacts.Model, root)


def _example(number: int) -> bytes:
    return examples.make_example(draw(number), str(number), number % 2).SerializeToString()


def _scored(films: Sequence[bytes], model: ExportedModel) -> list[bytes]:
    rows = score(iter(films), model, None, known={}, batch_size=BATCH)
    return [row.SerializeToString() for row in rows]


def _split(root: Path, shards: Sequence[Sequence[bytes]]) -> Artifact:
    folder = root / "Split-test"
    folder.mkdir(parents=True)
    for number, rows in enumerate(shards):
        path = folder / f"data_tfrecord-{number:05d}-of-{len(shards):05d}.gz"
        with tf.io.TFRecordWriter(str(path), "GZIP") as writer:
            for row in rows:
                writer.write(row)
    artifact = _artifact(standard_artifacts.Examples, root)
    artifact.split_names = artifact_utils.encode_split_names(["test"])
    return artifact


def _artifact(kind: type[Artifact], root: Path) -> Artifact:
    artifact = kind()
    artifact.uri = str(root)
    return artifact


if __name__ == "__main__":
    main()
