"""Workers that are processes of their own read and write a store that only this project opens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tfx.components.statistics_gen import executor as statistics_gen

from components import storage
from components.embedding import executor as embedding
from components.evaluator import tfma_evaluator
from components.example_gen import executor as example_gen
from components.grad_cam import executor as grad_cam
from components.trainer.embedded import MANIFEST, Manifest
from pipeline.beam import BeamSettings, beam_args, require_shared_storage
from pipeline.beam_clusters import FlinkSettings
from tests import stores
from tests.beam import nodes, services
from tests.beam.conftest import Flags, portable
from tests.components.embedding import runs
from tests.components.example_gen.samples import write_nih
from tests.components.grad_cam import made

FILMS = 12
# A job whose workers died would never end.
SECONDS = 300


@pytest.fixture(scope="module", autouse=True)
def server() -> Iterator[None]:
    with stores.s3_server():
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_nih(tmp_path_factory.mktemp("data"), FILMS)


@pytest.fixture(scope="module")
def ingested(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> nodes.Ingest:
    return nodes.ingest({"nih": folder}, tmp_path_factory.mktemp("here"), here("XrayExampleGen"))


@pytest.fixture(scope="module")
def pool(server: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flags]:
    """Beam's job service, and the pool of `pipeline/runners`."""
    logs = tmp_path_factory.mktemp("logs")
    with (
        services.job_service(logs) as endpoint,
        services.worker_pools("pipeline.runners.worker_pool", logs, 1) as (address,),
    ):
        settings = FlinkSettings(
            master="localhost:8081", environment="external", worker_pool=address, parallelism=1
        )
        # Nothing but the store is shared.
        require_shared_storage(BeamSettings(runner="flink", flink=settings), [stores.BUCKET])
        yield portable(settings, endpoint)


def here(node: str) -> list[str]:
    return beam_args(BeamSettings(workers=1), node=node)


def in_store(executor: Any, work: Callable[[], Any]) -> Any:
    with stores.artifacts_in(f"{stores.BUCKET}/{executor.__module__}", executor):
        return services.within(SECONDS, work)


def test_films_in_a_store_become_examples_there(
    pool: Flags, folder: Path, ingested: nodes.Ingest, tmp_path: Path
) -> None:
    films = f"{stores.BUCKET}/films"
    storage.upload(folder, films)
    found = in_store(
        example_gen.Executor,
        lambda: nodes.ingest({"nih": films}, tmp_path, pool("XrayExampleGen")),
    )
    assert sum(sum(split.values()) for split in found.splits.values()) == FILMS
    assert found.splits == ingested.splits


def test_statistics_are_the_same(pool: Flags, ingested: nodes.Ingest, tmp_path: Path) -> None:
    counted = nodes.statistics(ingested.examples, tmp_path / "here", here("StatisticsGen"))
    found = in_store(
        statistics_gen.Executor,
        lambda: nodes.statistics(ingested.examples, tmp_path / "there", pool("StatisticsGen")),
    )
    assert nodes.close(found, counted, 1e-9)


def test_evaluations_are_the_same(pool: Flags, tmp_path: Path) -> None:
    evaluated = nodes.evaluation(40, tmp_path / "here", here("Evaluator"))
    found = in_store(
        tfma_evaluator.Executor,
        lambda: nodes.evaluation(40, tmp_path / "there", pool("Evaluator")),
    )
    assert nodes.close(found, evaluated, 1e-9)


def test_pictures_are_in_the_store(pool: Flags, tmp_path: Path) -> None:
    films = [made.make_film(number, number % 2) for number in range(6)]
    model = made.model_artifact(tmp_path / "model")
    found = in_store(
        grad_cam.Executor,
        lambda: nodes.explanations(films, model, tmp_path, pool("GradCamReport"), cases=3),
    )
    assert len(found.index["cases"]) == 3
    assert len(found.pictures) == 3 * 3


def test_rows_are_in_the_store(pool: Flags, transform_graph: Path, tmp_path: Path) -> None:
    examples = runs.write_examples(tmp_path / "examples")
    made = in_store(
        embedding.Executor,
        lambda: runs.embed(
            tmp_path / "made", examples, transform_graph, runs.config(), beam=pool("Embedder")
        ),
    )
    manifest = Manifest.model_validate_json((made / MANIFEST).read_text())
    # One film of each split is there three times, and is run once.
    assert sum(shard.rows for shard in manifest.shards) == sum(runs.SIZES.values())
    assert {split: known.images - 2 for split, known in manifest.splits.items()} == runs.SIZES
    for shard in manifest.shards:
        for suffix, size in shard.sizes.items():
            (file,) = made.rglob(f"{shard.name}{suffix}")
            assert file.stat().st_size == size
