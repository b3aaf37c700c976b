"""What each node costs as images grow in number: processor time and memory, and their slopes.

usage: python -m tests.benchmarks.scaling [--images 150 300 600] [--out docs/results/scaling.json]

Runs the whole pipeline on synthetic films of the NIH set's kind, each time on more of them, and
watches its process. Processor time, not wall time: what else the machine does moves it little.
Of each node a line is fitted through the points; the ratio of its slope to that of one pass of the
network over the films (the Scorer, the baseline) says what a node costs beside the least
that any pipeline must pay.
"""

from __future__ import annotations

import argparse
import bisect
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil

from pipeline.run_folder import RunFolder
from pipeline.run_record import histories

BASELINE = "Scorer"
_EVERY_SECONDS = 0.1
_CXR = "from pipeline.cli import main; main()"
_SETTINGS = (
    "trainer.weights=none",
    "trainer.epochs=10",
    "trainer.patience=10",
    # Every film is kept: what is counted is what went through.
    "data.datasets.nih.normals_per_pneumonia=null",
    "evaluator.min_auc={nih: 0}",
    "evaluator.report_only=true",
    "data_gate.on_failure=warn",
)


def main() -> None:
    """Measure, print, and write what was measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, nargs="+", default=[150, 300, 600])
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        points = [_run(images, Path(scratch) / str(images)) for images in arguments.images]
    nodes = {node: _fit(arguments.images, points, node) for node in points[0]}
    _show(nodes)
    if arguments.out:
        found = {"images": arguments.images, "nodes": nodes, "points": points}
        arguments.out.write_text(json.dumps(found, indent=2) + "\n")


def _run(images: int, root: Path) -> dict[str, dict[str, float]]:
    """Each node's processor seconds, and the MiB that the run's processes had more than before it.

    Libraries that a node is the first to load count as its own.
    """
    settings = (*_SETTINGS, f"data.synthesize={{images: {{nih: {images}}}}}")
    command = [sys.executable, "-c", _CXR, "run", "nih", f"--pipeline-root={root}"]
    command += [part for setting in settings for part in ("--set", setting)]
    # A cache of its own: nothing is there from an earlier run.
    cache = f"trainer.cache.folder={root / 'cache'}"
    run = subprocess.Popen([*command, "--set", cache], stdout=subprocess.DEVNULL)
    times, processor, memory = _watch(run)
    if run.returncode not in (0, 3):
        raise SystemExit(f"the run on {images} films failed: {root}/logs")
    (history,) = histories(RunFolder(root))
    found = {}
    for execution in history.runs[-1].executions:
        if execution.is_resolver:
            continue
        begin, end = (
            bisect.bisect_left(times, moment / 1000)
            for moment in (execution.started, execution.updated)
        )
        before, last = max(begin - 1, 0), min(end, len(times) - 1)
        found[execution.node] = {
            "processor": processor[last] - processor[before],
            "memory": max(memory[begin : last + 1], default=memory[last]) - memory[before],
        }
    return found


def _watch(run: subprocess.Popen[bytes]) -> tuple[list[float], list[float], list[float]]:
    """Moments, and the processor seconds and the memory of the run's processes then."""
    times, processor, memory = [], [], []
    ended = 0.0
    seen: dict[int, float] = {}
    while run.poll() is None:
        used = resident = 0.0
        try:
            whole = psutil.Process(run.pid)
            processes = [whole, *whole.children(recursive=True)]
        except psutil.NoSuchProcess:
            break
        alive = {}
        for process in processes:
            try:
                with process.oneshot():
                    clock = process.cpu_times()
                    alive[process.pid] = clock.user + clock.system
                    resident += process.memory_info().rss / 2**20
            except psutil.NoSuchProcess:
                continue
        ended += sum(seconds for pid, seconds in seen.items() if pid not in alive)
        seen = alive
        used = ended + sum(alive.values())
        times.append(time.time())
        processor.append(used)
        memory.append(resident)
        time.sleep(_EVERY_SECONDS)
    run.wait()
    return times, processor, memory


def _fit(
    images: list[int], points: list[dict[str, dict[str, float]]], node: str
) -> dict[str, float]:
    """Lines through a node's points: what it costs at all, and for each film."""
    seconds, fixed = np.polyfit(images, [point[node]["processor"] for point in points], 1)
    mebibytes, base = np.polyfit(images, [point[node]["memory"] for point in points], 1)
    return {
        "seconds": float(fixed),
        "seconds_per_film": float(seconds),
        "memory": float(base),
        "memory_per_film": float(mebibytes),
    }


def _show(nodes: dict[str, dict[str, float]]) -> None:
    baseline = nodes[BASELINE]["seconds_per_film"]
    print(
        f"{'node':<22} {'at all, s':>10} {'ms a film':>10} {'h per 100,000':>14} "
        f"{'of a ' + BASELINE:>12} {'MiB':>7} {'kB a film':>10}"
    )
    for node, one in nodes.items():
        each = one["seconds_per_film"]
        print(
            f"{node:<22} {one['seconds']:>10.1f} {1000 * each:>10.1f} {each * 1e5 / 3600:>14.2f} "
            f"{each / baseline:>12.2f} {one['memory']:>7.0f} {1024 * one['memory_per_film']:>10.0f}"
        )


if __name__ == "__main__":
    main()
