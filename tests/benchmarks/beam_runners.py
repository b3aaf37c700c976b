"""Beam's nodes on a cluster's runner against the direct one: time, memory, and the same answers.

    python -m tests.benchmarks.beam_runners [--images 5000] [--runner portable] [--workers 2]

Baseline is the direct runner with as many threads as the other has workers. Each runner is a
process of its own, and what is counted is of that process and all it starts: job service, worker
pools and workers. Memory is the largest proportional share (PSS) of a node's time, in which what
processes share counts once. `portable` is Beam's own job service in Python with two worker pools in
processes of their own; `flink-local` and `flink-session` are Flink, where it can be had. The images
are those of `tests.benchmarks.ingest`; scores and the model that explains are made up.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import pickle
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.beam import BeamSettings, beam_args
from pipeline.beam_clusters import FlinkSettings
from tests.benchmarks.ingest import draw_dataset
from tests.benchmarks.processes import alone

NODES = ("XrayExampleGen", "StatisticsGen", "Evaluator", "GradCamReport")
RUNNERS = {
    "portable": "portable_external",
    "flink-local": "flink_local",
    "flink-session": "flink_session",
}
# Films that are explained, at most.
EXPLAINED = 500
EVERY = 0.25
# Of sums of floats, which are added in another order.
ROUNDING = 1e-9
# Of a film's map, in logits.
MAPS = 1e-5


def main() -> None:
    """Measure, compare and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--runner", choices=RUNNERS, default="portable")
    parser.add_argument("--workers", type=int, default=2, help="threads of the direct runner")
    arguments = parser.parse_args()
    require(arguments.runner)
    with tempfile.TemporaryDirectory() as scratch:
        root = draw_dataset(arguments.images, Path(scratch) / "data")
        measured = {
            runner: alone(
                run, runner, root, Path(scratch) / runner, arguments.workers, prepare=imports
            )
            for runner in ("direct", arguments.runner)
        }
        results = {
            runner: pickle.loads((Path(scratch) / runner / "results").read_bytes())
            for runner in measured
        }
    print(f"{arguments.images:,} images, {arguments.workers} threads or workers")
    print(f"{'':<16}{'wall [s]':>20}{'CPU [s]':>20}{'peak [MiB]':>20}")
    for node in NODES:
        cells = [
            f"{measured[runner][f'{node} {figure}']:,.0f}"
            for figure in ("wall", "cpu", "peak")
            for runner in measured
        ]
        pairs = [f"{one} | {other}" for one, other in zip(cells[::2], cells[1::2], strict=True)]
        print(f"{node:<16}" + "".join(f"{pair:>20}" for pair in pairs))
    compare(results["direct"], results[arguments.runner])


def require(runner: str) -> None:
    """Find out before anything is drawn.

    Raises:
      SystemExit: with the reason, if the runner cannot be had.
    """
    from tests.beam import flink

    version = FlinkSettings().version
    try:
        if runner.startswith("flink"):
            flink.job_server_jar(version)
        if runner == "flink-session":
            flink.distribution(version)
    except pytest.skip.Exception as reason:
        raise SystemExit(f"{runner}: {reason}") from None


def run(runner: str, root: Path, out: Path, workers: int) -> dict[str, float]:
    """All nodes on one runner; leaves what they wrote in a file."""
    from tests.beam import conftest, nodes
    from tests.components.grad_cam import made

    out.mkdir()
    figures: dict[str, float] = {}
    results: dict[str, Any] = {}
    with contextlib.ExitStack() as started:
        if runner == "direct":
            settings = BeamSettings(workers=workers)
            flags: conftest.Flags = lambda node: beam_args(settings, node=node)  # noqa: E731
        else:
            flags = started.enter_context(getattr(conftest, RUNNERS[runner])(out))
        with measured_tree(figures, "XrayExampleGen"):
            ingest = nodes.ingest({"nih": root}, out / "ingest", flags("XrayExampleGen"))
        results["XrayExampleGen"] = (ingest.splits, ingest.report)
        with measured_tree(figures, "StatisticsGen"):
            results["StatisticsGen"] = nodes.statistics(
                ingest.examples, out / "statistics", flags("StatisticsGen")
            )
        images = sum(sum(split.values()) for split in ingest.splits.values())
        with measured_tree(figures, "Evaluator"):
            results["Evaluator"] = nodes.evaluation(images, out / "scores", flags("Evaluator"))
        films = [made.make_film(number, number % 2) for number in range(min(images, EXPLAINED))]
        model = made.model_artifact(out / "model")
        with measured_tree(figures, "GradCamReport"):
            explained = nodes.explanations(
                films, model, out / "report", flags("GradCamReport"), cases="all"
            )
        results["GradCamReport"] = (explained.index, explained.pictures)
    (out / "results").write_bytes(pickle.dumps(results))
    return figures


@contextlib.contextmanager
def measured_tree(figures: dict[str, float], node: str) -> Iterator[None]:
    """Add wall and CPU seconds, and the peak in MiB, of this process and all below it."""
    processors: dict[int, float] = {}
    peak, done = 0.0, threading.Event()
    before = dict(_processors())

    def watch() -> None:
        nonlocal peak
        while not done.wait(EVERY):
            processors.update(_processors())
            peak = max(peak, sum(map(_share, _tree())))

    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    start = time.perf_counter()
    yield
    figures[f"{node} wall"] = time.perf_counter() - start
    done.set()
    watching.join()
    processors.update(_processors())
    figures[f"{node} cpu"] = sum(
        seconds - before.get(process, 0.0) for process, seconds in processors.items()
    )
    figures[f"{node} peak"] = peak


def _tree() -> list[int]:
    """This process and all below it."""
    found, left = [], [os.getpid()]
    while left:
        process = left.pop()
        found.append(process)
        for task in Path(f"/proc/{process}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                left += map(int, task.read_text().split())
    return found


def _processors() -> dict[int, float]:
    """CPU seconds of each process so far."""
    found, tick = {}, os.sysconf("SC_CLK_TCK")
    for process in _tree():
        with contextlib.suppress(OSError):
            # After the name, which may hold anything: user and system time are fields 14 and 15.
            fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
            found[process] = (int(fields[11]) + int(fields[12])) / tick
    return found


def _share(process: int) -> float:
    """MiB of a process, of what it shares its part."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0.0


def compare(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Print whether both wrote the same.

    Raises:
      AssertionError: if they did not.
    """
    from tests.beam import nodes

    assert one["XrayExampleGen"] == other["XrayExampleGen"]
    exact, sketched = zip(
        *(nodes.without_sketches(found["StatisticsGen"]) for found in (one, other)), strict=True
    )
    assert nodes.close(*exact, ROUNDING)
    assert nodes.close(one["Evaluator"], other["Evaluator"], ROUNDING)
    (index, drawn), (other_index, other_drawn) = one["GradCamReport"], other["GradCamReport"]
    assert nodes.close(index, other_index, MAPS)
    assert nodes.same_pictures(drawn, other_drawn)
    gap = max(
        (
            abs(first - second) / width
            for (first, width), (second, _) in zip(*sketched, strict=True)
        ),
        default=0.0,
    )
    print(
        "the same Examples, counts, moments, metrics, maps and pictures; quantiles differ by at "
        f"most {gap:.2%} of a feature's range"
    )


def imports() -> None:
    """What everybody pays once is not what is measured."""
    import tfx.v1  # noqa: F401

    logging.disable(logging.WARNING)


if __name__ == "__main__":
    main()
