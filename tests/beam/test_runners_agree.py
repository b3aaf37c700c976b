"""On every runner the nodes give what they give on the direct one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tfx.types import Artifact

from components.grad_cam import pictures
from pipeline.beam import BeamSettings, beam_args
from tests.beam import nodes
from tests.beam.conftest import Flags
from tests.beam.services import within
from tests.components.example_gen.samples import write_nih, write_pediatric
from tests.components.grad_cam import made

FILMS = 30
SCORES = 120
# A job whose workers died would never end.
SECONDS = 300
# Of a film's map, in logits: workers' batches are filled up differently.
MAPS = 1e-5


def direct(node: str) -> list[str]:
    return beam_args(BeamSettings(workers=2), node=node)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("data")
    return {"pediatric": write_pediatric(root, FILMS), "nih": write_nih(root, FILMS)}


@pytest.fixture(scope="module")
def ingested(folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> nodes.Ingest:
    return nodes.ingest(folders, tmp_path_factory.mktemp("direct"), direct("XrayExampleGen"))


@pytest.fixture(scope="module")
def counted(ingested: nodes.Ingest, tmp_path_factory: pytest.TempPathFactory) -> dict:
    out = tmp_path_factory.mktemp("direct")
    return nodes.statistics(ingested.examples, out, direct("StatisticsGen"))


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> dict:
    return nodes.evaluation(SCORES, tmp_path_factory.mktemp("direct"), direct("Evaluator"))


@pytest.fixture(scope="module")
def films() -> Sequence[tf.train.Example]:
    return [made.make_film(n, n % 2, nodes.DATASETS[n // 18]) for n in range(35)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return made.model_artifact(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def explained(
    films: Sequence[tf.train.Example], model: Artifact, tmp_path_factory: pytest.TempPathFactory
) -> nodes.Explained:
    out = tmp_path_factory.mktemp("direct")
    return nodes.explanations(films, model, out, direct("GradCamReport"))


def test_examples_are_the_same(
    flags: Flags, folders: dict[str, Path], ingested: nodes.Ingest, tmp_path: Path
) -> None:
    found = within(SECONDS, lambda: nodes.ingest(folders, tmp_path, flags("XrayExampleGen")))
    assert sum(map(len, ingested.splits.values())) == 2 * FILMS
    assert found.splits == ingested.splits
    assert found.report == ingested.report


def test_statistics_are_the_same(
    flags: Flags, ingested: nodes.Ingest, counted: dict, tmp_path: Path
) -> None:
    found = within(
        SECONDS, lambda: nodes.statistics(ingested.examples, tmp_path, flags("StatisticsGen"))
    )
    assert counted["All Examples"]["num_examples"] == sum(ingested.splits["train"].values())
    assert nodes.close(found, counted, 1e-9)


def test_metrics_are_the_same(flags: Flags, evaluated: dict, tmp_path: Path) -> None:
    found = within(SECONDS, lambda: nodes.evaluation(SCORES, tmp_path, flags("Evaluator")))
    assert len(evaluated["figures"]) > len(nodes.DATASETS)
    assert nodes.close(found, evaluated, 1e-9)


def test_explanations_are_the_same(
    flags: Flags,
    films: Sequence[tf.train.Example],
    model: Artifact,
    explained: nodes.Explained,
    tmp_path: Path,
) -> None:
    found = within(
        SECONDS, lambda: nodes.explanations(films, model, tmp_path, flags("GradCamReport"))
    )
    assert len(found.index["cases"]) == 9
    assert nodes.close(found.index, explained.index, MAPS)
    assert len(found.pictures) == 3 * 9
    assert nodes.same_pictures(found.pictures, explained.pictures)


@pytest.mark.parametrize(("levels", "same"), [(0, True), (1, True), (2, False)])
def test_pictures_may_differ_by_one_level_of_heat(levels: int, same: bool) -> None:
    one, other = (
        {"heat/0001.png": pictures.heat_png(np.full((7, 7), level / 255, np.float32), (96, 96))}
        for level in (100, 100 + levels)
    )
    assert nodes.same_pictures(one, other) == same
    assert not nodes.same_pictures(one, {})
    assert not nodes.same_pictures({"films/0001.jpg": b"one"}, {"films/0001.jpg": b"other"})
