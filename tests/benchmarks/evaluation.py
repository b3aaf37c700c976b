"""An evaluation against one forward pass of the exported model over the same images.

    python -m tests.benchmarks.evaluation [--images 689] [--findings] [--intervals none]

The forward pass asks the loaded model for batches of 32, one after the other, and does nothing
else. The evaluation is the nodes Scorer and Evaluator, as the pipeline runs them, from Examples
on disk to TFMA's results. Every part also runs over one batch alone, and that is taken off:
loading, tracing and TFMA's pipeline cost the same whatever the number of images.

Weights are random, films synthetic. Aimed at: less than twice the forward pass.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import tensorflow as tf
from google.protobuf import json_format
from tfx.components.evaluator.executor import Executor as EvaluatorExecutor
from tfx.dsl.components.base import base_beam_executor
from tfx.types import artifact_utils, standard_artifacts

from components.evaluator.eval_config import build_eval_config
from components.evaluator.settings import EvaluatorSettings
from components.example_gen import record
from components.example_gen.synthetic.anatomy import sample_anatomy
from components.example_gen.synthetic.phantom import draw_film
from components.scorer.executor import Executor as ScorerExecutor
from components.scorer.exported_model import ExportedModel
from components.scorer.settings import ScorerSettings
from components.trainer.backbones import build_backbone
from components.trainer.calibration import Calibration
from components.trainer.classifier import build_classifier, build_head
from components.trainer.contract_file import CONTRACT
from components.trainer.explaining import Explanation, FrozenClassifier
from components.trainer.frozen import resolve_precision
from components.trainer.operating_point import OperatingPoint
from components.trainer.outputs import Output
from components.trainer.serving_module import Answers, ServingModule
from components.trainer.tasks import BINARY, MULTILABEL
from tests import examples
from tests.benchmarks.serving_latency import SEED, SIZE, Preprocessing

BATCH = 32
SIDE = 320
BEAM = ["--direct_running_mode=in_memory", "--direct_num_workers=1"]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=689)
    parser.add_argument("--findings", action="store_true", help="a model of all findings")
    parser.add_argument("--intervals", default="none")
    parser.add_argument("--backbone", default="DenseNet121")
    arguments = parser.parse_args()
    labels: record.Labels = "findings" if arguments.findings else "pneumonia"
    settings = EvaluatorSettings(
        slices=("sex", "age_group", "view_position", "sex*view_position"),
        min_auc={"nih": 0.0},
        max_gap={"nih": {"sex": 0.5, "view_position": 0.5}},
        confidence_intervals=arguments.intervals,
    )
    films = [_example(number, labels) for number in range(arguments.images)]
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        model = _export(arguments.backbone, labels, root / "model")
        # What a process does once, such as importing, is done before the first that counts.
        _, few, whole = (
            _measure(chosen, model, settings, labels, root / str(number))
            for number, chosen in enumerate((films[:BATCH], films[:BATCH], films))
        )
    print(f"{arguments.backbone}, {arguments.images} images of {SIDE} px, {labels}")
    print(f"  intervals: {arguments.intervals}")
    for name, seconds in whole.items():
        print(f"  {name:<12} {seconds:6.1f} s, {few[name]:5.1f} s of it for {BATCH} images")
    beyond = {name: seconds - few[name] for name, seconds in whole.items()}
    ratio = (beyond["Scorer"] + beyond["Evaluator"]) / beyond["forward pass"]
    print(f"  the evaluation takes {ratio:.2f} times the forward pass, beyond start-up")


def _measure(
    films: Sequence[bytes],
    model: standard_artifacts.Model,
    settings: EvaluatorSettings,
    labels: record.Labels,
    folder: Path,
) -> dict[str, float]:
    """Seconds of every part."""
    inputs = _examples_artifact(films, folder / "examples")
    scores = _examples_artifact([], folder / "scores")
    run = ExportedModel(model.uri)
    run(films[:BATCH])
    parts: dict[str, Callable[[], object]] = {
        "forward pass": lambda: _ask(run, films),
        "Scorer": lambda: _score(inputs, model, scores),
        "Evaluator": lambda: _evaluate(scores, model, settings, labels, folder),
    }
    seconds = {}
    for name, part in parts.items():
        start = time.perf_counter()
        part()
        seconds[name] = time.perf_counter() - start
    return seconds


def _ask(run: ExportedModel, films: Sequence[bytes]) -> None:
    for start in range(0, len(films), BATCH):
        run(films[start : start + BATCH])


def _score(
    inputs: standard_artifacts.Examples,
    model: standard_artifacts.Model,
    scores: standard_artifacts.Examples,
) -> None:
    ScorerExecutor().Do(
        {"examples": [inputs], "model": [model]},
        {"scores": [scores]},
        {"settings": ScorerSettings(batch_size=BATCH).model_dump_json()},
    )


def _evaluate(
    scores: standard_artifacts.Examples,
    model: standard_artifacts.Model,
    settings: EvaluatorSettings,
    labels: record.Labels,
    folder: Path,
) -> None:
    evaluation, blessing = standard_artifacts.ModelEvaluation(), standard_artifacts.ModelBlessing()
    evaluation.uri, blessing.uri = str(folder / "evaluation"), str(folder / "blessing")
    config = build_eval_config(settings, ["nih"], labels)
    EvaluatorExecutor(
        base_beam_executor.BaseBeamExecutor.Context(
            beam_pipeline_args=BEAM, tmp_dir=str(folder / "tmp"), unique_id="1"
        )
    ).Do(
        {"examples": [scores], "model": [model]},
        {"evaluation": [evaluation], "blessing": [blessing]},
        {
            "eval_config": json_format.MessageToJson(config, preserving_proto_field_name=True),
            "example_splits": json.dumps(["test"]),
        },
    )


def _export(backbone_name: str, labels: record.Labels, root: Path) -> standard_artifacts.Model:
    names = record.PATHOLOGIES if labels == "findings" else record.CLASS_NAMES[1:]
    backbone = build_backbone(backbone_name, image_size=SIZE, weights="none", seed=SEED)
    head = build_head(backbone.output_shape[-1], units=128, dropout=0.5, l2=0.0, outputs=len(names))
    point = OperatingPoint(0.5, "by hand", None, None, 0, 0)
    outputs = tuple(Output(name, Calibration("none"), point) for name in names)
    answers = (
        Answers(MULTILABEL, names, outputs)
        if labels == "findings"
        else Answers(BINARY, record.CLASS_NAMES, outputs)
    )
    classifier = build_classifier(backbone, head)
    network = FrozenClassifier(classifier, resolve_precision("auto"), "grad_cam", "")
    explanation = Explanation("grad_cam", "", network.grid, 0.6, (0.1,) * len(names))
    module = ServingModule(network, Preprocessing(), answers, explanation)
    folder = root / "Format-Serving"
    module.save(str(folder))
    contract = folder / CONTRACT
    contract.parent.mkdir(parents=True)
    contract.write_text(json.dumps({"outputs": [{"name": name} for name in names]}))
    model = standard_artifacts.Model()
    model.uri = str(root)
    return model


def _examples_artifact(films: Sequence[bytes], root: Path) -> standard_artifacts.Examples:
    artifact = standard_artifacts.Examples()
    artifact.uri = str(root)
    artifact.split_names = artifact_utils.encode_split_names(["test"])
    split = root / "Split-test"
    split.mkdir(parents=True)
    with tf.io.TFRecordWriter(f"{split}/data_tfrecord-00000-of-00001.gz", "GZIP") as file:
        for film in films:
            file.write(film)
    return artifact


def _example(number: int, labels: record.Labels) -> bytes:
    rng = np.random.default_rng(number)
    film = draw_film(sample_anatomy("nih", rng), rng, side_length=SIDE)
    encoded = cv2.imencode(".png", film.pixels)[1].tobytes()
    findings = tuple(rng.choice(record.PATHOLOGIES, 2, replace=False)) if number % 2 else ()
    return examples.make_example(
        encoded,
        str(number),
        number % 2,
        dataset="nih",
        findings=findings or (record.NO_FINDING,),
        finding_labels=record.finding_labels(findings, labels),
        sex="FM"[number // 2 % 2],
        view_position=("AP", "PA")[number // 4 % 2],
        age_years=number % 90,
    ).SerializeToString()


if __name__ == "__main__":
    main()
