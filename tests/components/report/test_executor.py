"""Real artifacts in, the pages out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from tfx import types
from tfx.types import artifact_utils, standard_artifacts

from components import report
from components.data_gate.artifacts import DataQualityReport
from components.evaluator.artifacts import Judgement
from components.example_gen import record
from components.example_gen.artifacts import IngestReport
from components.grad_cam.artifacts import ExplanationReport
from components.report import executor
from components.report.artifacts import ModelReport
from components.scorer import features
from components.scorer.scores import INDEX_FILE, Scores
from tests.components.report import samples


def artifact(kind: type[types.Artifact], root: Path, number: int, **files: Any) -> types.Artifact:
    made = kind()
    made.uri = str(root / str(number))
    made.id = number
    for name, content in files.items():
        samples.write_json(Path(made.uri) / name, content)
    return made


def write_scores(folder: Path, scores: Scores) -> None:
    samples.write_json(folder / INDEX_FILE, {"outputs": scores.outputs, "last_model": False})
    split = folder / "Split-test"
    split.mkdir(parents=True)
    with tf.io.TFRecordWriter(str(split / "data-00000-of-00001.gz"), "GZIP") as writer:
        for row in range(len(scores)):
            example = tf.train.Example()
            feature = example.features.feature
            for name, values in (
                (record.SHA256, scores.sha256),
                (record.FILENAME, scores.filenames),
                (record.PATIENT_ID, scores.patients),
                (record.DATASET, scores.datasets),
                *scores.features.items(),
            ):
                if values[row]:
                    feature[name].bytes_list.value.append(str(values[row]).encode())
            feature[record.LABEL].int64_list.value.extend(scores.labels[row].tolist())
            feature[features.DECISION].int64_list.value.extend(scores.decisions[row].tolist())
            feature[features.PROBABILITY].float_list.value.extend(
                scores.probabilities[row].tolist()
            )
            writer.write(example.SerializeToString())


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[types.Artifact]]:
    root = tmp_path_factory.mktemp("artifacts")
    scores = samples.scores({"pediatric": 150})
    examples = artifact(standard_artifacts.Examples, root, 4)
    examples.split_names = artifact_utils.encode_split_names(["test"])
    write_scores(Path(examples.uri), scores)
    judgement = artifact(Judgement, root, 1)
    path = Path(judgement.uri) / "judgement.json"
    path.parent.mkdir()
    path.write_text(samples.judgement(scores).model_dump_json())
    problem = {"sentence": "A class is missing in val.", "remedy": "Add images."}
    folder = "Format-Serving/assets.extra"
    return {
        "judgement": [judgement],
        "scores": [examples],
        "model": [
            artifact(
                standard_artifacts.Model, root, 20,
                **{f"{folder}/model_contract.json": samples.contract()},
            )
        ],
        "model_run": [
            artifact(
                standard_artifacts.ModelRun, root, 21,
                **{"history.json": {"head": samples.history(12)}},
            )
        ],
        "ingest": [
            artifact(IngestReport, root, 2, **{"ingest.json": samples.ingest(["pediatric"])})
        ],
        "data_report": [
            artifact(
                DataQualityReport, root, 3,
                **{"data.json": {"problems": [problem], "notes": ["Few films."]}},
            )
        ],
        "explanations": [
            artifact(
                ExplanationReport, root, 5,
                **{"cases.json": {"films": 150, "cases": [{}] * 9, "heat": {"reference": 0.4}}},
            )
        ],
    }  # fmt: skip


def run(root: Path, inputs: dict[str, list[types.Artifact]]) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    written = ModelReport()
    written.uri = str(root)
    lineage = {"experiment": "pediatric", "run_id": "r1", "code": {"trainer": "abc"}}
    executor.Executor().Do(
        dict(inputs), {"report": [written]}, {"lineage": json.dumps(lineage), "code": "x"}
    )
    return root


@pytest.fixture(scope="module")
def folder(
    inputs: dict[str, list[types.Artifact]], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    return run(tmp_path_factory.mktemp("report"), inputs)


def test_it_writes_all_pages(folder: Path) -> None:
    assert {one.name for one in folder.iterdir()} == {
        "report.html",
        "model_card.md",
        "model_card.html",
        "figures.json",
    }
    assert "model_card.html" in (folder / "report.html").read_text()
    assert "tfma.html" not in (folder / "report.html").read_text()


def test_what_notebooks_load_is_what_the_artifacts_say(
    folder: Path, inputs: dict[str, list[types.Artifact]]
) -> None:
    figures = report.load(str(folder))

    assert (
        figures.judgement.model_dump_json()
        == (Path(inputs["judgement"][0].uri) / "judgement.json").read_text()
    )
    assert figures.history["head"]["val_auc"] == samples.history(12)["val_auc"]
    assert figures.lineage.artifacts["model"].id == 20
    assert figures.lineage.code == {"trainer": "abc"}
    assert figures.problems == ("A class is missing in val.",)
    assert figures.explanations is not None
    assert figures.explanations.cases == 9
    assert figures.curves[0].roc is not None


def test_names_of_files_stay_in_the_ingest_report(folder: Path) -> None:
    assert not any("secret" in one.read_text() for one in folder.iterdir())


def test_tfmas_dashboard_is_there_where_tfma_was(
    inputs: dict[str, list[types.Artifact]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor, "render_dashboard", lambda evaluations: json.dumps(evaluations))
    test = artifact(standard_artifacts.ModelEvaluation, tmp_path, 30)
    validation = artifact(standard_artifacts.ModelEvaluation, tmp_path, 31)

    folder = run(
        tmp_path / "report",
        inputs | {"evaluation": [test], "validation_evaluation": [validation]},
    )

    assert json.loads((folder / "tfma.html").read_text()) == {
        "Test images": test.uri,
        "Validation images": validation.uri,
    }
    assert 'href="tfma.html"' in (folder / "report.html").read_text()
