"""The project's clients and the embedded server, together."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from serving.client import GrpcClient, RestClient
from serving.client.aio import AsyncGrpcClient, AsyncRestClient
from serving.prediction import BadImageError, Explanation, ModelNotFoundError
from serving.saved_model import SavedModelPredictor
from serving.server.embedded import EmbeddedServer
from tests.serving.tiny_model import UNDECODABLE_PNG, encoded_image

FILMS = [encoded_image(level, suffix) for level in (0, 77, 255) for suffix in (".png", ".jpeg")]

KINDS = {"gRPC": GrpcClient, "REST": RestClient}
ASYNC_KINDS = {"gRPC": AsyncGrpcClient, "REST": AsyncRestClient}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def address(embedded: EmbeddedServer, kind: str) -> str:
    return f"127.0.0.1:{embedded.grpc_port if kind == 'gRPC' else embedded.rest_port}"


@pytest.fixture(scope="module")
def in_process(two_versions_dir: Path) -> SavedModelPredictor:
    return SavedModelPredictor(two_versions_dir)


def same(one: Explanation, other: Explanation) -> bool:
    return (
        one.answer == other.answer
        and np.array_equal(one.heatmap, other.heatmap)
        and one.overlay_png == other.overlay_png
    )


def test_the_answers_are_those_of_the_model_in_this_process(
    kind: str, address: str, in_process: SavedModelPredictor
) -> None:
    with KINDS[kind](address, batch_size=4) as client:
        assert client.predict(FILMS) == in_process.predict(FILMS)
        assert all(map(same, client.explain(FILMS), in_process.explain(FILMS)))


def test_so_are_those_that_are_awaited(
    kind: str, address: str, in_process: SavedModelPredictor
) -> None:
    async def ask() -> list[object]:
        async with ASYNC_KINDS[kind](address, batch_size=2, concurrency=3) as client:
            return await client.predict(FILMS)

    assert asyncio.run(ask()) == in_process.predict(FILMS)


@pytest.mark.parametrize(
    ("choice", "version"),
    [({}, 12), ({"version": 7}, 7), ({"version_label": "stable"}, 7)],
    ids=["the latest", "by number", "by label"],
)
def test_a_version_is_asked_for(
    kind: str, address: str, choice: dict[str, object], version: int
) -> None:
    with KINDS[kind](address, **choice) as client:
        client.predict(FILMS[:1])
        assert client.served_version() == version


@pytest.mark.parametrize("choice", [{"version": 8}, {"version_label": "beta"}], ids=str)
def test_what_is_not_served_is_told(kind: str, address: str, choice: dict[str, object]) -> None:
    with KINDS[kind](address, **choice) as client, pytest.raises(ModelNotFoundError):
        client.predict(FILMS[:1])


def test_a_bad_image_costs_its_own_answer_alone(kind: str, address: str, tmp_path: Path) -> None:
    contents = {"a.png": FILMS[0], "b.png": UNDECODABLE_PNG, "c.png": FILMS[4]}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    with KINDS[kind](address) as client:
        outcome = client.predict_files([tmp_path / name for name in contents])
        assert [Path(one.source).name for one in outcome.predictions] == ["a.png", "c.png"]
        assert [Path(one.source).name for one in outcome.failures] == ["b.png"]
        with pytest.raises(BadImageError):
            client.predict([UNDECODABLE_PNG])
