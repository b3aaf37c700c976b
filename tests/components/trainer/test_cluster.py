"""Who trains together, as TF_CONFIG says."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest

from components.errors import InputError
from components.trainer import cluster
from components.trainer.cluster import Cluster


def tell(monkeypatch: pytest.MonkeyPatch, groups: dict[str, Any], kind: str, index: int) -> None:
    config = {"cluster": groups, "task": {"type": kind, "index": index}, "environment": "cloud"}
    monkeypatch.setenv("TF_CONFIG", json.dumps(config))


def test_without_the_variable_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TF_CONFIG", raising=False)

    assert cluster.from_environment() is None


@pytest.mark.parametrize(("kind", "index", "place"), [("chief", 0, 0), ("worker", 1, 2)])
def test_the_chief_comes_first(
    monkeypatch: pytest.MonkeyPatch, kind: str, index: int, place: int
) -> None:
    """As the Training Operator names a chief and two workers."""
    tell(monkeypatch, {"worker": ["w-0:2222", "w-1:2222"], "chief": ["c-0:2222"]}, kind, index)

    found = cluster.from_environment()

    assert found == Cluster(("c-0:2222", "w-0:2222", "w-1:2222"), place)


def test_without_a_chief_of_its_own_the_first_worker_is_it(monkeypatch: pytest.MonkeyPatch) -> None:
    tell(monkeypatch, {"worker": ["w-0:2222", "w-1:2222"]}, "worker", 0)

    assert cluster.from_environment() == Cluster(("w-0:2222", "w-1:2222"), 0)


def test_what_it_says_of_itself_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    one = Cluster(("a:1", "b:2"), 1)
    for name, value in one.environment.items():
        monkeypatch.setenv(name, value)

    assert cluster.from_environment() == one


def test_a_chief_that_trains_can_be_told_from_one_that_does_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as chief:
        own = Cluster((f"127.0.0.1:{chief.getsockname()[1]}", "127.0.0.1:1"), 1)
        assert own.chief_listens()

    assert not own.chief_listens()
    # Where the chief's pod is not there yet, its name is not either.
    assert not Cluster(("chief.invalid:2222", "127.0.0.1:1"), 1).chief_listens()


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "{}",
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "evaluator", "index": 0}}',
        '{"cluster": {"worker": ["a"]}, "task": {"type": "worker", "index": 0}}',
        '{"cluster": {"worker": ["a:1"], "ps": ["b:1"]}, "task": {"type": "worker", "index": 0}}',
    ],
)
def test_what_cannot_be_meant_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("TF_CONFIG", text)

    with pytest.raises(InputError, match="TF_CONFIG"):
        cluster.from_environment()


def test_workers_here_have_ports_and_devices_of_their_own() -> None:
    found = cluster.on_loopback(3)

    assert [one.index for one in found] == [one.local_index for one in found] == [0, 1, 2]
    assert len(set(found[0].addresses)) == 3
    assert len({one.spec_name for one in found}) == 1
    assert Cluster(("a:1", "b:1", "a:2", "b:2"), 3).local_index == 1
