"""The embedded server against calling the SavedModel in this process.

    python -m tests.benchmarks.embedded_server [--rounds 40] [--seconds 8] [--soak 600]

One DenseNet121 with its preprocessing, frozen as the Trainer exports it, asked for one encoded
film at a time:

- latency: the model in this process, gRPC and REST with base64, in turns; medians;
- throughput: so many threads ask this process, and so many clients ask over gRPC, for the same
  time, in turns;
- soak: clients ask for so many seconds; the server's memory is printed ten times.

The server runs in a process of its own, as `cxr serve` does. Aimed at: latency over gRPC at most
1.15 times the one in process, throughput at least 95 % of it at the best, and flat memory.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import requests
import tensorflow as tf

from serving.client import GrpcClient, RestClient
from tests.benchmarks import serving_latency as models

CONCURRENCIES = (1, 2, 4, 8)
FILMS = 16
IN_PROCESS, GRPC, REST = "in process", "gRPC", "REST"

Ask = Callable[[bytes], Any]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", default="DenseNet121")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--soak", type=float, default=600)
    arguments = parser.parse_args()
    films = [models.draw(number) for number in range(max(FILMS, models.STANDARDISED_ON))]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "cxr")
        folder.mkdir()
        models.export(models.build(arguments.backbone, films), "float32", folder / "1")
        local = _in_process(folder / "1")
        with _server(folder) as (process, grpc_address, rest_address):
            with GrpcClient(grpc_address) as grpc_client, RestClient(rest_address) as rest_client:
                sides: dict[str, Ask] = {
                    IN_PROCESS: local,
                    GRPC: lambda film: grpc_client.run([film]),
                    REST: lambda film: rest_client.run([film]),
                }
                _latency(sides, films[:FILMS], arguments.rounds)
            _throughput(local, grpc_address, films[:FILMS], arguments.seconds)
            _soak(process.pid, grpc_address, rest_address, films[:FILMS], arguments.soak)


def _in_process(version: Path) -> Ask:
    loaded = tf.saved_model.load(str(version))
    signature = loaded.signatures["serving_default"]

    def ask(film: bytes) -> Any:
        outputs = signature(image_bytes=tf.constant([film]))
        return {name: output.numpy() for name, output in outputs.items()}

    ask.loaded = loaded  # its variables live as long as it does
    return ask


@contextlib.contextmanager
def _server(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    command = "from pipeline.cli import main; main()"
    with socket.create_server(("127.0.0.1", 0)) as free:
        rest_port = free.getsockname()[1]
    flags = ["serve", "--model-base-path", str(folder), "--port=0", f"--rest-api-port={rest_port}"]
    with subprocess.Popen(
        [sys.executable, "-c", command, *flags], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        addresses: dict[str, str] = {}
        for line in process.stdout:
            words = line.split()
            if words[:1] in (["gRPC"], ["REST"]):
                addresses[words[0]] = words[1].removeprefix("http://").removesuffix("/v1/models")
            if len(addresses) == 2:
                break
        try:
            yield process, addresses["gRPC"], addresses["REST"]
        finally:
            process.terminate()


def _latency(sides: dict[str, Ask], films: Sequence[bytes], rounds: int) -> None:
    for ask in sides.values():
        for film in films[:3]:
            ask(film)
    times: dict[str, list[float]] = {name: [] for name in sides}
    orders = itertools.cycle(itertools.permutations(sides))
    for number, order in zip(range(rounds), orders, strict=False):
        for name in order:
            start = time.perf_counter()
            sides[name](films[number % len(films)])
            times[name].append(1000 * (time.perf_counter() - start))
    base = statistics.median(times[IN_PROCESS])
    print(f"latency of one film, {rounds} rounds: {IN_PROCESS} {base:.1f} ms")
    for name in (GRPC, REST):
        median = statistics.median(times[name])
        print(f"  {name}: {median:.1f} / {base:.1f} = {median / base:.3f}", flush=True)


def _throughput(local: Ask, address: str, films: Sequence[bytes], seconds: float) -> None:
    best: dict[str, float] = {IN_PROCESS: 0, GRPC: 0}
    print(f"throughput, films a second, {seconds:g} s each")
    for concurrency in CONCURRENCIES:
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(GrpcClient(address)) for _ in range(concurrency)]
            remote = [lambda film, client=client: client.run([film]) for client in clients]
            sides = {IN_PROCESS: [local] * concurrency, GRPC: remote}
            rates = {name: _rate(asks, films, seconds) for name, asks in sides.items()}
        best = {name: max(best[name], rate) for name, rate in rates.items()}
        shown = ", ".join(f"{name} {rate:.1f}" for name, rate in rates.items())
        print(
            f"  {concurrency} at once: {shown}, {rates[GRPC] / rates[IN_PROCESS]:.1%}", flush=True
        )
    print(
        f"  at the best: {best[GRPC]:.1f} / {best[IN_PROCESS]:.1f} = "
        f"{best[GRPC] / best[IN_PROCESS]:.1%}"
    )


def _rate(asks: Sequence[Ask], films: Sequence[bytes], seconds: float) -> float:
    counts = [0] * len(asks)
    end = time.perf_counter() + seconds

    def work(number: int) -> None:
        for film in itertools.cycle(films):
            if time.perf_counter() >= end:
                return
            asks[number](film)
            counts[number] += 1

    start = time.perf_counter()
    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(asks))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.perf_counter() - start)


def _soak(pid: int, grpc_address: str, rest_address: str, films: Any, seconds: float) -> None:
    print(f"soak, {seconds:g} s: two clients of gRPC, one of REST, one that sends what is no image")
    answered = 0
    with (
        GrpcClient(grpc_address) as first,
        GrpcClient(grpc_address) as second,
        RestClient(rest_address) as third,
    ):

        def refused(_: bytes) -> None:
            url = f"http://{rest_address}/v1/models/cxr:predict"
            assert requests.post(url, json={"instances": ["x"]}, timeout=30).status_code == 400

        asks: list[Ask] = [
            lambda film: first.run([film]),
            lambda film: second.run([film]),
            lambda film: third.run([film]),
            refused,
        ]
        sizes = [_mebibytes(pid)]
        for part in range(10):
            answered += round(_rate(asks, films, seconds / 10) * seconds / 10)
            sizes.append(_mebibytes(pid))
            print(f"  {(part + 1) * seconds / 10:4.0f} s: {sizes[-1]:.0f} MiB", flush=True)
    half = sizes[len(sizes) // 2]
    print(
        f"  {answered:,} answered; memory {half:.0f} MiB half-way, {sizes[-1]:.0f} MiB at the end, "
        f"{sizes[-1] / half - 1:+.1%}"
    )


def _mebibytes(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    main()
