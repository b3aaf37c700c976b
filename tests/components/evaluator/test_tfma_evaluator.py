"""The Evaluator's artifacts in stores: what Beam's workers write goes where they all see it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
import tensorflow_model_analysis as tfma
from tfx.dsl.io import fileio

from components import storage
from components.evaluator import results
from components.evaluator.settings import EvaluatorSettings
from components.evaluator.tfma_evaluator import Executor
from tests import stores
from tests.components.evaluator.evaluations import Evaluation, evaluate, scored_example

# Of a model that tells all films apart, and of one that tells none.
GOOD, BAD = (0.1, 0.9), (0.9, 0.1)


@pytest.fixture(scope="module", autouse=True)
def server() -> Iterator[None]:
    with stores.s3_server():
        yield


@pytest.fixture(params=["memory", "s3"])
def store(request: pytest.FixtureRequest) -> str:
    uri = stores.memory()
    return uri if request.param == "memory" else uri.replace("ram://", f"{stores.BUCKET}/")


def run(folder: Path, probabilities: tuple[float, float] = GOOD) -> Evaluation:
    films = [
        scored_example(
            number % 2,
            probabilities[number % 2],
            int(probabilities[number % 2] > 0.5),
            {"dataset": "nih"},
        )
        for number in range(40)
    ]
    return evaluate(folder, films, EvaluatorSettings(min_auc={"nih": 0.8}), ["nih"])


def test_what_tfma_writes_goes_to_the_artifacts_uri(store: str, tmp_path: Path) -> None:
    written, read = [], []
    extract_evaluate_and_write = tfma.ExtractEvaluateAndWriteResults
    load_validation_result = tfma.load_validation_result

    def write(*, output_path: str, **rest: object) -> object:
        written.append(output_path)
        return extract_evaluate_and_write(output_path=output_path, **rest)

    def load(uri: str) -> object:
        read.append(uri)
        return load_validation_result(uri)

    with (
        mock.patch.object(tfma, "ExtractEvaluateAndWriteResults", write),
        mock.patch.object(tfma, "load_validation_result", load),
        stores.artifacts_in(store, Executor),
    ):
        run(tmp_path)
    assert written == [f"{store}/evaluation/0"]
    # On this machine, and from a copy only where TensorFlow does not open the store.
    (uri,) = read
    assert uri == written[0] if store.startswith("ram://") else not storage.is_remote(uri)
    # Where the model is, for whoever reads the evaluation later.
    (told,) = fileio.glob(f"{store}/evaluation/0/eval_config*")
    with fileio.open(told) as file:
        assert f"{store}/model/0" in file.read()


@pytest.mark.parametrize("probabilities", [GOOD, BAD], ids=["good", "bad"])
def test_it_finds_what_it_finds_on_paths(
    probabilities: tuple[float, float], tmp_path: Path
) -> None:
    store = f"{stores.BUCKET}/{probabilities is GOOD}"
    here = run(tmp_path / "here", probabilities)
    with stores.artifacts_in(store, Executor):
        there = run(tmp_path / "there", probabilities)
    assert here.blessed == there.blessed == (probabilities == GOOD)
    assert results.load_slices(f"{store}/evaluation/0") == results.load_slices(here.uri)
    blessed = "BLESSED" if here.blessed else "NOT_BLESSED"
    assert fileio.exists(f"{store}/blessing/0/{blessed}")


def test_what_tfma_reads_with_is_its_own_again(tmp_path: Path) -> None:
    before = tfma.load_validation_result
    with (
        mock.patch.object(tfma, "ExtractEvaluateAndWriteResults", side_effect=RuntimeError),
        pytest.raises(RuntimeError),
    ):
        run(tmp_path)
    assert tfma.load_validation_result is before
