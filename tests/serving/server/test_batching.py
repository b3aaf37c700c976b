"""Batches over a real model: who is joined with whom, and what errors cost."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serving.server.batching import BatchingParameters, BatchScheduler, read_parameters
from serving.server.config import ServerConfig
from serving.server.errors import ServerConfigError, StatusError
from serving.server.servable import Servable
from tests.serving.server.conftest import Serve, rest


@pytest.fixture(scope="module")
def toy(exported: Path) -> Iterator[Servable]:
    servable = Servable("m", 1, exported / "toy", ServerConfig(model_base_path="/"))
    yield servable
    servable.retire(lambda: None)


def run(
    scheduler: BatchScheduler,
    toy: Servable,
    signature: str,
    deadline: float | None = None,
    **inputs: Any,
) -> dict[str, Any]:
    definition = toy.signature(signature)
    assert definition is not None
    outputs = sorted(definition.outputs)
    fetched = scheduler.run(
        toy,
        {definition.inputs[name].name: np.asarray(value) for name, value in inputs.items()},
        [definition.outputs[name].name for name in outputs],
        deadline,
    )
    return dict(zip(outputs, fetched, strict=True))


@pytest.fixture
def make() -> Iterator[Any]:
    made: list[BatchScheduler] = []

    def scheduler(**parameters: Any) -> BatchScheduler:
        made.append(BatchScheduler(BatchingParameters(**parameters)))
        return made[-1]

    yield scheduler
    for one in made:
        one.close()


def strings(*values: str) -> Any:
    return np.array([value.encode() for value in values], object)


def batch_sizes(scheduler: BatchScheduler, toy: Servable, clients: int) -> list[float]:
    with ThreadPoolExecutor(clients) as pool:
        calls = [
            pool.submit(run, scheduler, toy, "count", inputs=strings("a")) for _ in range(clients)
        ]
        return [call.result(20)["outputs"][0] for call in calls]


def test_requests_that_come_together_run_together(make: Any, toy: Servable) -> None:
    scheduler = make(max_batch_size=4, batch_timeout_micros=5_000_000, num_batch_threads=2)
    # Full batches do not wait for the timeout.
    assert batch_sizes(scheduler, toy, 8) == [4] * 8


def test_a_lone_request_waits_no_longer_than_the_timeout(make: Any, toy: Servable) -> None:
    scheduler = make(max_batch_size=4, batch_timeout_micros=50_000)
    assert batch_sizes(scheduler, toy, 1) == [1]


def test_everyone_gets_the_own_rows(make: Any, toy: Servable) -> None:
    scheduler = make(max_batch_size=64, batch_timeout_micros=20_000)

    def ask(number: int) -> bool:
        a = np.arange(number % 5 + 1, dtype=np.float32) + number
        b = np.full(len(a), number, np.int32)
        outputs = run(scheduler, toy, "pair", a=a, b=b)
        return bool((outputs["sum"] == a + b).all()) and len(outputs["double"]) == len(a)

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(ask, range(100)))


def test_signatures_are_not_mixed(make: Any, toy: Servable) -> None:
    scheduler = make(max_batch_size=2, batch_timeout_micros=20_000)
    with ThreadPoolExecutor(4) as pool:
        pair = [
            pool.submit(run, scheduler, toy, "pair", a=np.float32([1]), b=np.int32([n]))
            for n in range(2)
        ]
        echo = [pool.submit(run, scheduler, toy, "echo", image_bytes=strings("x")) for _ in "12"]
        assert [call.result(20)["double"].tolist() for call in pair] == [[0], [2]]
        assert [call.result(20)["text"].tolist() for call in echo] == [[b"x"], [b"x"]]


def test_one_bad_input_costs_the_others_nothing(make: Any, toy: Servable) -> None:
    scheduler = make(max_batch_size=4, batch_timeout_micros=5_000_000)
    import tensorflow as tf

    example = tf.train.Example()
    example.features.feature["x"].float_list.value.append(3)
    good = example.SerializeToString()
    with ThreadPoolExecutor(4) as pool:
        calls = [
            pool.submit(run, scheduler, toy, "regress", inputs=np.array([value], object))
            for value in (good, b"\xff bad", good, good)
        ]
        failures = [call.exception(20) for call in calls]
    assert [type(one) for one in failures] == [type(None), StatusError, type(None), type(None)]
    assert calls[0].result()["outputs"].tolist() == [[1.5]]


def test_allowed_sizes_are_filled_up_and_the_filling_is_dropped(make: Any, toy: Servable) -> None:
    scheduler = make(max_batch_size=8, allowed_batch_sizes=(4, 8))
    outputs = run(scheduler, toy, "count", inputs=strings("a", "b", "c"))["outputs"]
    assert outputs.tolist() == [4, 4, 4]


def test_what_is_larger_than_a_batch_is_refused(make: Any, toy: Servable) -> None:
    with pytest.raises(StatusError, match="Task size 3 is larger than maximum input batch size 2"):
        run(make(max_batch_size=2), toy, "count", inputs=strings("a", "b", "c"))


def test_who_gave_up_waiting_is_not_run(make: Any, toy: Servable) -> None:
    scheduler = make(max_batch_size=4, batch_timeout_micros=300_000)
    with pytest.raises(StatusError, match="the deadline passed"):
        run(scheduler, toy, "count", time.monotonic() + 0.05, inputs=strings("a"))
    assert run(scheduler, toy, "count", inputs=strings("a"))["outputs"].tolist() == [1]


def test_a_full_queue_is_unavailable(make: Any, toy: Servable) -> None:
    scheduler = make(max_batch_size=2, batch_timeout_micros=3_000_000, max_enqueued_batches=1)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(run, scheduler, toy, "count", inputs=strings("a"))
        while not scheduler._queues:
            pass
        with pytest.raises(StatusError, match=r"batch scheduling queue .* is full") as e:
            run(scheduler, toy, "count", inputs=strings("a", "b"))
        assert e.value.http_status == 503
        run(scheduler, toy, "count", inputs=strings("a"))
        assert first.result(20)["outputs"].tolist() == [2]


def test_inputs_of_other_shapes_are_refused_or_padded(make: Any, toy: Servable) -> None:
    def both(**parameters: Any) -> list[Any]:
        scheduler = make(max_batch_size=2, batch_timeout_micros=5_000_000, **parameters)
        with ThreadPoolExecutor(2) as pool:
            calls = [
                pool.submit(run, scheduler, toy, "matrix", x=np.zeros((1, width), np.float32))
                for width in (1, 2)
            ]
            return [call.exception(20) or call.result() for call in calls]

    # Alone, the one that fits the model is answered, and the other has the model's error.
    refused, answered = both()
    assert isinstance(refused, StatusError)
    assert answered["y"].shape == (1, 2)
    padded = both(pad_variable_length_inputs=True)
    assert [one["y"].shape for one in padded] == [(1, 2), (1, 2)]


def test_the_server_batches(serve: Serve, exported: Path, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "1").symlink_to(exported / "toy")
    path = tmp_path / "batching.config"
    path.write_text("max_batch_size { value: 4 } batch_timeout_micros { value: 3000000 }")
    server = serve(enable_batching=True, batching_parameters_file=path)
    body = {"signature_name": "count", "examples": [{"x": 1.0}]}
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: rest(server, ":regress", body).json(), range(4)))
    assert found == [{"results": [4.0]}] * 4


@pytest.mark.parametrize(
    "text",
    [
        "max_batch_size { value: 0 }",
        "allowed_batch_sizes: 4",
        "allowed_batch_sizes: 1000 allowed_batch_sizes: 4",
        "enable_large_batch_splitting { value: true }",
        "max_execution_batch_size { value: 4 }",
        "max_batch_size: 4",
        "unknown: 1",
    ],
)
def test_parameters_that_cannot_be_meant(tmp_path: Path, text: str) -> None:
    path = tmp_path / "batching.config"
    path.write_text(text)
    with pytest.raises(ServerConfigError):
        read_parameters(path)
