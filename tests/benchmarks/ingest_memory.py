"""ExampleGen's memory, stage by stage, as the number of images grows, and as their size does.

    python -m tests.benchmarks.ingest_memory [--images 500 2000] [--side 1024 1536] [--workers 2]

Each ingest is a process of its own; each stage's peak is what the kernel notes of it after the
mark of the stage before is wiped (Linux). The slope by number is compared with the size of an image
file, which is what holding the images would cost: a ratio of 1 would be that, and 0 is none of it.
The slope by size is what a byte more in every file costs over all: it is of the images in work.
"""

from __future__ import annotations

import argparse
import multiprocessing
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import cv2
import numpy as np

from components.example_gen.synthetic import layouts
from tests.benchmarks import ingest
from tests.benchmarks.processes import alone

STAGES = ("list", "survey", "near-duplicates", "write", "page")
DRAWN = 30
_QUALITY = [cv2.IMWRITE_JPEG_QUALITY, 95]
_HEADER = "image,findings,patient"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, nargs=2, default=[500, 2000])
    parser.add_argument("--side", type=int, nargs=2, default=[1024, 1536], help="in pixels")
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    (few, many), (small, large) = sorted(arguments.images), sorted(arguments.side)
    with tempfile.TemporaryDirectory() as scratch:
        drawn = layouts.synthesize("pediatric", images=DRAWN, out=Path(scratch), seed=1).root
        measured = {}
        for images, side in ((few, large), (many, large), (many, small)):
            root = Path(scratch) / f"{images}-{side}"
            size = _dataset(root, drawn, images, side)
            peaks = alone(_ingest, root, arguments.workers, prepare=ingest._imports)
            measured[images, side] = peaks | {"size": size}
            print(f"{images:,} JPEGs of {side} pixels, {size / 2**10:,.0f} KiB each: ", end="")
            print(", ".join(f"{stage} {peaks[stage] / 2**20:,.0f}" for stage in STAGES), end="")
            print(f" MiB over {peaks['imports']:,.0f} of imports", flush=True)
    size = measured[many, large]["size"]
    more_bytes = many * (size - measured[many, small]["size"])
    print(f"\n{'stage':<16} {'bytes per image':>16} {'of its file':>12} {'per byte more':>14}")
    for stage in STAGES:
        peak = measured[many, large][stage]
        by_number = (peak - measured[few, large][stage]) / (many - few)
        by_size = (peak - measured[many, small][stage]) / more_bytes
        print(f"{stage:<16} {by_number:>16,.0f} {by_number / size:>12.4f} {by_size:>14.4f}")


def _ingest(root: Path, workers: int) -> dict[str, float]:
    """The whole ExampleGen; each stage's peak over what was there before the first, in bytes."""
    from components.example_gen import executor, ingest_page
    from components.example_gen.datasets import registry

    start = _memory("VmRSS")
    peaks: dict[str, float] = {}

    def staged(stage: str, owner: Any, name: str) -> Any:
        work: Callable[..., Any] = getattr(owner, name)

        def measured(*arguments: Any, **options: Any) -> Any:
            Path("/proc/self/clear_refs").write_text("5")
            result = work(*arguments, **options)
            peaks[stage] = _memory("VmHWM") - start
            return result

        return mock.patch.object(owner, name, measured)

    with (
        staged("list", registry, "list_files"),
        staged("survey", executor.Executor, "_survey"),
        staged("near-duplicates", executor, "find_near_duplicates"),
        staged("write", executor.Executor, "_write"),
        staged("page", ingest_page, "render"),
    ):
        ingest.example_gen(root, root / "out", workers)
    return peaks


def _memory(field: str) -> int:
    """A field of the process's status, in bytes."""
    status = Path("/proc/self/status").read_text()
    found = re.search(rf"^{field}:\s+(\d+) kB", status, re.MULTILINE)
    assert found
    return int(found[1]) * 1024


def _dataset(root: Path, drawn: Path, images: int, side: int) -> float:
    """A table and its films; returns the mean size of a file in bytes."""
    (root / "images").mkdir(parents=True)
    films = sorted(drawn.rglob("*.jpeg"))
    with multiprocessing.Pool() as pool:
        jobs = [(films, root / "images" / f"{row:06d}.jpg", side, row) for row in range(images)]
        sizes = pool.starmap(_write_film, jobs, chunksize=16)
    rows = [
        f"{row:06d}.jpg,{'Pneumonia' if row % 3 == 0 else 'No Finding'},{row}"
        for row in range(images)
    ]
    (root / "labels.csv").write_text("\n".join([_HEADER, *rows]) + "\n")
    return float(np.mean(sizes))


def _write_film(films: list[Path], path: Path, side: int, row: int) -> int:
    """A mixture of two films with shadows of its own, so that no two are alike."""
    rng = np.random.default_rng(row)
    one, other = (
        cv2.resize(cv2.imread(str(films[i]), cv2.IMREAD_GRAYSCALE), (side, side))
        for i in rng.choice(len(films), 2, replace=False)
    )
    shadows = cv2.resize(rng.uniform(-60, 60, (9, 9)), (side, side), interpolation=cv2.INTER_CUBIC)
    grain = cv2.resize(rng.normal(0, 4, (side // 2, side // 2)), (side, side))
    share = rng.uniform(0.2, 0.8)
    film = cv2.addWeighted(one, share, other, 1 - share, 0) + shadows + grain
    cv2.imwrite(str(path), np.clip(film, 0, 255).astype(np.uint8), _QUALITY)
    return path.stat().st_size


if __name__ == "__main__":
    main()
