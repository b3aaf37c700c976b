"""What is asked of a run whose artifacts are in a store, before it starts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tfx.dsl.io import fileio

from components.errors import InputError
from components.trainer.cluster import Cluster
from components.trainer.settings import Devices
from pipeline.remote_run import claim, require_common_folders
from tests import stores


@pytest.fixture(scope="module", autouse=True)
def server() -> Iterator[None]:
    with stores.s3_server():
        yield


@pytest.fixture(params=["memory", "s3"])
def store(request: pytest.FixtureRequest) -> str:
    uri = stores.memory()
    return uri if request.param == "memory" else uri.replace("ram://", f"{stores.BUCKET}/")


def test_a_store_has_one_owner(store: str) -> None:
    claim(store, "ann's folder")
    claim(store, "ann's folder")
    with pytest.raises(
        InputError, match=rf"{store} has artifacts of runs .*another --pipeline-root"
    ):
        claim(store, "bob's folder")
    # What the message says to do where ann's records are gone.
    fileio.remove(f"{store}/.cxr-owner")
    claim(store, "bob's folder")
    with pytest.raises(InputError, match="recorded in another folder"):
        claim(store, "ann's folder")


def test_workers_elsewhere_do_not_see_the_trainers_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    several = Devices(strategy="multi_worker")
    monkeypatch.delenv("TF_CONFIG", raising=False)
    require_common_folders(several, "s3://b/x")
    for name, value in Cluster(("a:1", "b:1"), 0).environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=r"TF_CONFIG .* s3://b/x is in a store.*--pipeline-root"):
        require_common_folders(several, "s3://b/x")
    require_common_folders(Devices(), "s3://b/x")
