"""Real artifacts in, a real report out; and what the Trainer left in its cache is not made anew."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tfx import v1 as tfx
from tfx.types import artifact_utils, standard_artifacts

from components.cross_dataset.artifacts import CrossDatasetReport
from components.cross_dataset.executor import Executor
from components.cross_dataset.matrix import Matrix
from components.trainer.frozen_part import FrozenPart
from components.trainer.run_fn import run_fn
from tests import examples
from tests.components.trainer.conftest import read_contract
from tests.components.trainer.samples import SIDE, draw_film, write_records

SIZES = {"train": 40, "val": 24, "test": 16}

pytestmark = pytest.mark.usefixtures("small_registry")


def make_example(number: int) -> Any:
    """With pneumonia there is a disk in nih, and none in pediatric."""
    disk, nih = number % 2, number // 2 % 2
    film = draw_film(number, disk)
    label = disk if nih else 1 - disk
    return examples.make_example(film, str(number), label, dataset=("pediatric", "nih")[nih])


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("examples")
    for place, (split, size) in enumerate(SIZES.items()):
        numbers = range(100 * place, 100 * place + size)
        write_records(folder / f"Split-{split}", [make_example(number) for number in numbers])
    return folder


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many images went through the frozen part, by batch."""
    found: list[int] = []
    run: Callable[..., np.ndarray] = FrozenPart.__call__

    def count(self: FrozenPart, encoded: Any, altered: Any = None) -> np.ndarray:
        found.append(len(encoded))
        return run(self, encoded, altered)

    monkeypatch.setattr(FrozenPart, "__call__", count)
    return found


def config(folder: Path, **settings: Any) -> dict[str, Any]:
    small = {
        "weights": "none",
        "epochs": 3,
        "head": {"units": 8},
        "cache": {"folder": str(folder)},
        "fine_tuning": {"epochs": 1},
    }
    return {
        "settings": small | settings,
        "labels": "pneumonia",
        "image_size": SIDE,
        "preprocessing": "as tested",
    }


def train(folder: Path, records: Path, transform_graph: Path, given: dict[str, Any]) -> Path:
    run_fn(
        tfx.components.FnArgs(
            train_files=[str(records / "Split-train" / "*")],
            eval_files=[str(records / "Split-val" / "*")],
            transform_output=str(transform_graph),
            serving_model_dir=str(folder / "Format-Serving"),
            model_run_dir=str(folder / "logs"),
            custom_config=given | {"code": "as tested"},
        )
    )
    return folder / "Format-Serving"


def run(
    folder: Path,
    records: Path,
    transform_graph: Path,
    given: dict[str, Any],
    hyperparameters: Path | None = None,
) -> Matrix:
    artifacts = {
        "examples": standard_artifacts.Examples(),
        "transform_graph": standard_artifacts.TransformGraph(),
        "report": CrossDatasetReport(),
    }
    artifacts["examples"].split_names = artifact_utils.encode_split_names(list(SIZES))
    places = {"examples": records, "transform_graph": transform_graph, "report": folder / "report"}
    if hyperparameters:
        artifacts["hyperparameters"] = standard_artifacts.HyperParameters()
        places["hyperparameters"] = hyperparameters
    for name, artifact in artifacts.items():
        artifact.uri = str(places[name])
    (folder / "report").mkdir(parents=True, exist_ok=True)
    Executor().Do(
        {name: [one] for name, one in artifacts.items() if name != "report"},
        {"report": [artifacts["report"]]},
        {"trainer": json.dumps(given), "code": "x"},
    )
    return Matrix.model_validate_json((folder / "report" / "matrix.json").read_text("utf-8"))


@pytest.mark.parametrize(
    "settings",
    [{"augmentation": {"views": 1}}, {"trainable": "last_block"}],
    ids=["embeddings and views", "activation maps"],
)
def test_only_test_images_go_through_the_network_after_the_trainer(
    tmp_path: Path,
    records: Path,
    transform_graph: Path,
    passes: list[int],
    settings: dict[str, Any],
) -> None:
    given = config(tmp_path / "cache", **settings)
    model_dir = train(tmp_path / "trainer", records, transform_graph, given)
    assert sum(passes) >= SIZES["train"] + SIZES["val"]

    passes.clear()
    matrix = run(tmp_path, records, transform_graph, given)
    assert sum(passes) == SIZES["test"]
    assert [(row.images, row.validation_images) for row in matrix.rows] == [
        (20, 12), (20, 12), (40, 24),
    ]  # fmt: skip
    assert [cell.n for cell in matrix.rows[0].cells] == [8, 8]
    assert "What carries over" in (tmp_path / "report" / "matrix.html").read_text("utf-8")
    if "trainable" in settings:
        return
    # The head of all is the Trainer's own.
    (output,) = read_contract(model_dir)["outputs"]
    assert matrix.rows[-1].threshold == output["operating_point"]["threshold"]

    passes.clear()
    assert run(tmp_path / "again", records, transform_graph, given) == matrix
    assert passes == []

    shutil.rmtree(tmp_path / "cache")
    assert run(tmp_path / "evicted", records, transform_graph, given) == matrix
    assert sum(passes) >= sum(SIZES.values())


def test_the_cache_stays_within_its_size(
    tmp_path: Path, records: Path, transform_graph: Path
) -> None:
    old = tmp_path / "cache" / "activations" / "another" / "old.npy"
    old.parent.mkdir(parents=True)
    old.write_bytes(b"0" * 10_000)
    small = {"folder": str(tmp_path / "cache"), "max_gib": 1e-9}
    run(tmp_path, records, transform_graph, config(tmp_path, cache=small, epochs=1))

    assert not old.exists()
    assert list((tmp_path / "cache").rglob("*.npy"))


def test_the_tuner_decides_for_these_heads_too(
    tmp_path: Path, records: Path, transform_graph: Path
) -> None:
    tuned = tmp_path / "tuned"
    tuned.mkdir()
    (tuned / "best_hyperparameters.txt").write_text(json.dumps({"values": {"head.units": 5}}))
    given = config(tmp_path / "cache", epochs=1)
    matrix = run(tmp_path, records, transform_graph, given, hyperparameters=tuned)

    assert matrix.settings["head"]["units"] == 5
