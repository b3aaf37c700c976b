"""Near-duplicate search: seconds, loads and memory for a set of NIH's size.

    python -m tests.benchmarks.near_duplicates [--images 112120] [--copies 500]

The hashes are random but have patterns in common as those of real films do, so that about as many
unlike films come within the search radius as was measured there (1.5 in a million pairs). Some
images are copies of others with a few bits changed. The baseline, in the same run, is the classic
64-bit perceptual hash with one row of the set against the others at a time, timed on a part of the
rows. It proposes pairs only, and knows neither mirrored nor inverted films. Each measurement is a
process of its own, so that its peak memory is its own.
"""

from __future__ import annotations

import argparse
import time

import cv2
import numpy as np

from components.example_gen.images.near_duplicates import find_near_duplicates
from components.example_gen.images.perceptual_hash import HASH_BYTES, perceptual_hash
from components.example_gen.synthetic import anatomy, phantom
from tests.benchmarks.processes import alone

BASELINE_ROWS = 2000
BITS_CHANGED = 15
SIDE = 1024
# Hashes are the signs of a sum of these many common patterns of this weight, the film that all have
# in common, and noise of weight 1.
PATTERNS = 20
PATTERN_WEIGHT = 2.0
COMMON = 0.7


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=112_120)
    parser.add_argument("--copies", type=int, default=500)
    arguments = parser.parse_args()
    images, copies = arguments.images, arguments.copies
    print(f"perceptual_hash of a film of {SIDE} px: {hash_milliseconds():.2f} ms")
    baseline = alone(row_by_row, images, copies)
    _print("64 bits, row by row", baseline, "baseline")
    measured = alone(search, images, copies)
    _print("near-duplicate search", measured, f"{baseline['wall'] / measured['wall']:.2f}x as fast")
    print(
        f"  {measured['candidates']:,} candidates, {measured['compared']:,} compared, "
        f"{measured['loads']:,} loads, {measured['links']:,} links for {copies:,} planted copies"
    )


def hash_milliseconds() -> float:
    """What the first pass over the images pays for each."""
    rng = np.random.default_rng(1)
    film = phantom.draw_film(anatomy.sample_anatomy("nih", rng), rng, side_length=SIDE).pixels
    start = time.perf_counter()
    for _ in range(200):
        perceptual_hash(film)
    return (time.perf_counter() - start) / 200 * 1000


def search(images: int, copies: int) -> dict[str, float]:
    """The whole search; an image is a small pattern of its own, so loads are almost free."""
    hashes = [row.tobytes() for row in _hashes(images, copies)]
    loads = 0

    def load(index: int) -> np.ndarray:
        nonlocal loads
        loads += 1
        # Copies are the last images, and are copies of the first ones.
        origin = index if index < images - copies else index - (images - copies)
        pattern = np.random.default_rng(origin).integers(0, 256, (24, 24)).astype(np.uint8)
        return cv2.resize(pattern, (96, 96))

    start = time.perf_counter()
    found = find_near_duplicates(hashes, load)
    return {
        "wall": time.perf_counter() - start,
        "candidates": found.candidates,
        "compared": found.compared,
        "loads": loads,
        "links": len(found.links),
    }


def row_by_row(images: int, copies: int) -> dict[str, float]:
    """A loop over the rows, with the 64-bit hash; scaled up from some of the rows."""
    hashes = _hashes(images, copies)[:, :8].copy().view(np.uint64).ravel()
    rows = min(BASELINE_ROWS, images)
    chosen = np.linspace(0, images - 1, rows).astype(int)
    start = time.perf_counter()
    for row in chosen:
        np.flatnonzero(np.bitwise_count(hashes[row] ^ hashes[row + 1 :]) <= 10)
    return {"wall": (time.perf_counter() - start) * images / rows}


def _hashes(images: int, copies: int) -> np.ndarray:
    """Hashes uint8 [images, HASH_BYTES]; the last `copies` are near the first ones."""
    rng = np.random.default_rng(1)
    bits = HASH_BYTES * 8
    common = COMMON * rng.normal(size=bits)
    patterns = rng.normal(size=(PATTERNS, bits)) * PATTERN_WEIGHT / PATTERNS**0.5
    films = np.empty((images, HASH_BYTES), np.uint8)
    for start in range(0, images, 4096):
        count = min(4096, images - start)
        values = rng.normal(size=(count, PATTERNS)) @ patterns + common
        values += rng.normal(size=(count, bits))
        films[start : start + count] = np.packbits(values > 0, axis=1)
    for copy in range(copies):
        flipped = np.zeros(bits, bool)
        flipped[rng.choice(bits, BITS_CHANGED, replace=False)] = True
        films[images - copies + copy] = films[copy] ^ np.packbits(flipped)
    return films


def _print(what: str, measured: dict[str, float], ratio: str) -> None:
    print(
        f"  {what:<24} {measured['wall']:6.1f} s  {ratio:<16} peak {measured['peak']:,.0f} MiB "
        f"({measured['peak'] - measured['imports']:+,.0f} over imports)"
    )


if __name__ == "__main__":
    main()
