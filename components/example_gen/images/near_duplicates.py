"""Near-duplicates: the same film under two names, re-encoded, resized, cropped, mirrored, inverted.

Perceptual hashes propose pairs and the pixels decide: both films are made small, aligned, and
correlated after their grey levels are evened out locally. Hashes alone would call different
patients' films the same.

The defaults were measured on 5,272 pediatric films (224 pixels and full size) and 1,445 NIH films
(248 and 1,024 pixels), which make 22.5 million pairs of different patients:

- The classic 64-bit hash calls 193 pairs of different patients alike at a radius of 4 bits, 9,821
  at 8 and 41,753 at 10, which is its usual radius. This one calls 35 alike at 54 of its 256 bits.
- Aligned pixels of different patients' films correlate at 0.22 in the median, and at 0.70 at most
  among the 1,700 pairs with the closest hashes. Two films of one patient reach 0.876: there the
  threshold leaves little room, and some follow-ups in a larger set will pass it.
- Of copies, 99 to 100 % are found: JPEG quality 40 to 95, 0.3 to 2 times the size, brightness,
  contrast, gamma, equalised histograms, another marker, rotated by up to 2 degrees, 1 to 2 %
  cropped from each side, shifted by 1 %, mirrored, inverted; with added noise (standard deviation
  5 of 255) 98 %, shifted by 2 % along one side 96 %, padded by 3 % 94 %, cropped by 3 % 87 %.
  Shifts by 2 % along both sides (10 %) or by 3 % are beyond the hash.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import numpy.typing as npt

from components.example_gen.images.perceptual_hash import (
    Image,
    Words,
    distances,
    fade,
    local_contrast,
    orientation,
    to_words,
)

Indices = npt.NDArray[np.int64]

_SIDE = 96
_ALIGN_STEPS = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 30, 1e-4)
_ALIGN_BLUR = 5
# Share of a pixel that must come from within the other film, and of the film from the overlap.
_INSIDE = 0.99
_LEAST_OVERLAP = 0.5
# A thumbnail takes 36 KiB: the cache takes 36 MiB at most, and a chunk always fits into it.
_CACHED = 1024
_CHUNK = 256


@dataclasses.dataclass(frozen=True)
class Thresholds:
    """What counts as a near-duplicate; the module's text says how the defaults were measured.

    Attributes:
      radius: pairs whose hashes differ in at most so many bits of 256 are looked at.
      correlation: pairs whose aligned pixels correlate at least so much are near-duplicates.
      max_rejections: an image that failed to match so many others is not looked at any more.
        It keeps a set of films that the hash cannot tell apart from costing a quadratic number
        of reads.
    """

    radius: int = 54
    correlation: float = 0.88
    max_rejections: int = 100


@dataclasses.dataclass(frozen=True)
class Work:
    """How the search is cut into pieces; no result depends on it, up to `max_rejections`.

    Attributes:
      rows: hashes that are compared at once with ...
      columns: ... so many others.
      threads: that read and compare images.
    """

    rows: int = 64
    columns: int = 4096
    threads: int = 2


@dataclasses.dataclass(frozen=True)
class NearDuplicate:
    """Two images of the same film.

    Attributes:
      first: index of the one that comes first.
      second: index of the other.
      correlation: of their aligned pixels, 1 for the same.
      mirrored: whether left and right are exchanged.
      inverted: whether black and white are exchanged.
    """

    first: int
    second: int
    correlation: float
    mirrored: bool = False
    inverted: bool = False


@dataclasses.dataclass(frozen=True)
class Found:
    """The outcome of a search.

    Attributes:
      links: verified pairs, ordered; one less than there are images in each group of copies,
        which they join. Pairs that are joined through others are not listed.
      candidates: pairs whose hashes are close.
      compared: those of them whose pixels were compared; the others were joined already.
      rejected: those of the compared whose pixels differ.
      abandoned: those not compared because of `Thresholds.max_rejections`.
    """

    links: tuple[NearDuplicate, ...]
    candidates: int
    compared: int
    rejected: int
    abandoned: int

    def groups(self) -> list[tuple[int, ...]]:
        """Indices of the images of each film that has several, ordered."""
        joined: dict[int, list[int]] = {}
        for link in self.links:
            first = joined.setdefault(link.first, [link.first])
            second = joined.setdefault(link.second, [link.second])
            first += second
            joined |= dict.fromkeys(second, first)
        return sorted({tuple(sorted(group)) for group in joined.values()})


def find_near_duplicates(
    hashes: Sequence[bytes],
    load: Callable[[int], np.ndarray],
    thresholds: Thresholds | None = None,
    progress: Callable[[int, int], None] | None = None,
    work: Work | None = None,
) -> Found:
    """Find the images that show the same film.

    The result is the same whatever the order in which threads finish. Besides the hashes, memory
    holds a few bytes for each image and a bounded number of thumbnails.

    Args:
      hashes: `perceptual_hash` of every image.
      load: gives the grey levels of the image of an index, uint8 [height, width]. It is called
        from several threads, for the images that are candidates; what it raises passes through.
      thresholds: what counts as a near-duplicate.
      progress: is told how many hashes of how many were compared with all others.
      work: how the search is cut into pieces.
    """
    thresholds, work = thresholds or Thresholds(), work or Work()
    words = to_words(b"".join(hashes))
    # An image without structure has no bit set, and resembles every other such image.
    indices = np.flatnonzero(words.any(axis=0))
    words = np.ascontiguousarray(words[:, indices])
    count = len(indices)
    with ThreadPoolExecutor(work.threads) as pool:
        search = _Search(words, indices, _Thumbnails(load, pool), thresholds, pool)
        for top in range(0, count, work.rows):
            for first, second in _close_pairs(words, top, thresholds.radius, work):
                search.add(first, second)
            if progress:
                progress(min(top + work.rows, count), count)
        search.verify()
    return search.found()


class _Thumbnails:
    """The small, evened out images of the latest candidates (least recently used goes first)."""

    def __init__(self, load: Callable[[int], np.ndarray], pool: ThreadPoolExecutor):
        self._load = load
        self._pool = pool
        self._kept: collections.OrderedDict[int, Image] = collections.OrderedDict()

    def get(self, indices: Sequence[int]) -> dict[int, Image]:
        """The images of these indices; what is not kept is loaded, each once, by the threads."""
        missing = [index for index in indices if index not in self._kept]
        # Only this thread touches what is kept, so nothing depends on which load ends first.
        self._kept.update(zip(missing, self._pool.map(self._make, missing), strict=True))
        for index in indices:
            self._kept.move_to_end(index)
        images = {index: self._kept[index] for index in indices}
        while len(self._kept) > _CACHED:
            self._kept.popitem(last=False)
        return images

    def _make(self, index: int) -> Image:
        return local_contrast(self._load(index), _SIDE)


class _Search:
    """Candidates on their way to links."""

    def __init__(
        self,
        words: Words,
        indices: Indices,
        thumbnails: _Thumbnails,
        thresholds: Thresholds,
        pool: ThreadPoolExecutor,
    ):
        self._words = words
        self._indices = indices
        self._thumbnails = thumbnails
        self._thresholds = thresholds
        self._pool = pool
        # Each image's group, as the number of its first member. To relabel a whole group takes
        # microseconds, and lets one look-up tell for all pairs of a block whether they are joined.
        self._group = np.arange(len(indices), dtype=np.int32)
        self._rejections = np.zeros(len(indices), np.int32)
        self._waiting: list[tuple[Indices, Indices]] = []
        self._links: list[NearDuplicate] = []
        self._candidates = self._compared = self._rejected = self._abandoned = 0

    def add(self, first: Indices, second: Indices) -> None:
        """Take candidates; their pixels are compared once there are enough for the threads."""
        self._candidates += len(first)
        apart = self._group[first] != self._group[second]
        self._waiting.append((first[apart], second[apart]))
        if sum(len(pairs) for pairs, _ in self._waiting) >= _CHUNK:
            self.verify()

    def verify(self) -> None:
        """Compare the pixels of all waiting candidates."""
        if not self._waiting:
            return
        first, second = (np.concatenate(side) for side in zip(*self._waiting, strict=True))
        self._waiting = []
        while len(first):
            # Every image with its earliest partner first: of a thousand copies, all are compared
            # with one, and then the pairs among them need no look.
            _, chosen = np.unique(second, return_index=True)
            for start in range(0, len(chosen), _CHUNK):
                part = chosen[start : start + _CHUNK]
                self._compare(first[part], second[part])
            later = np.ones(len(first), bool)
            later[chosen] = False
            first, second = self._open(first[later], second[later])

    def found(self) -> Found:
        """The outcome so far."""
        links = sorted(self._links, key=lambda link: (link.first, link.second))
        return Found(
            tuple(links), self._candidates, self._compared, self._rejected, self._abandoned
        )

    def _open(self, first: Indices, second: Indices) -> tuple[Indices, Indices]:
        """Those pairs that are neither joined nor abandoned."""
        apart = self._group[first] != self._group[second]
        first, second = first[apart], second[apart]
        most = np.maximum(self._rejections[first], self._rejections[second])
        promising = most < self._thresholds.max_rejections
        self._abandoned += len(first) - int(promising.sum())
        return first[promising], second[promising]

    def _compare(self, first: Indices, second: Indices) -> None:
        # A chunk before may have joined them, or given them up.
        first, second = self._open(first, second)
        needed = np.unique(np.concatenate([first, second]))
        names = self._indices[needed].tolist()
        loaded = self._thumbnails.get(names)
        images = {int(one): loaded[name] for one, name in zip(needed, names, strict=True)}

        def compare(a: int, b: int) -> NearDuplicate:
            mirrored, inverted = orientation(self._words[:, a], self._words[:, b])
            turned = images[b][:, ::-1] if mirrored else images[b]
            likeness = similarity(images[a], -turned if inverted else turned, self._enough)
            names = int(self._indices[a]), int(self._indices[b])
            return NearDuplicate(*names, likeness, mirrored, inverted)

        pairs = first.tolist(), second.tolist()
        for a, b, link in zip(*pairs, self._pool.map(compare, *pairs), strict=True):
            self._judge(a, b, link)

    @property
    def _enough(self) -> float:
        return self._thresholds.correlation

    def _judge(self, a: int, b: int, link: NearDuplicate) -> None:
        self._compared += 1
        if link.correlation < self._enough:
            self._rejected += 1
            self._rejections[[a, b]] += 1
        elif self._group[a] != self._group[b]:
            kept, given_up = sorted((self._group[a], self._group[b]))
            self._group[self._group == given_up] = kept
            self._links.append(link)


def similarity(first: Image, second: Image, enough: float = 1.0) -> float:
    """Pearson's correlation of two films after they are aligned.

    The alignment is an affine map that maximises the correlation (ECC; Evangelidis and Psarakis
    2008, Parametric Image Alignment Using Enhanced Correlation Coefficient Maximization). It takes
    most of the time, and is left out where the films as they are correlate enough.

    Args:
      first: `local_contrast` of a film.
      second: the same of another, of the same size.
      enough: a correlation that needs no alignment.

    Returns:
      The correlation, with and without alignment whichever is larger.
    """
    weights = fade(first.shape[0])
    as_they_are = _correlation(first, second, weights)
    if as_they_are >= enough:
        return as_they_are
    second = np.ascontiguousarray(second)
    try:
        _, motion = cv2.findTransformECC(
            first,
            second,
            np.eye(2, 3, dtype=np.float32),
            cv2.MOTION_AFFINE,
            _ALIGN_STEPS,
            np.ones(first.shape, np.uint8),
            _ALIGN_BLUR,
        )
    except cv2.error:  # the films have so little in common that the search runs out of the image
        return as_they_are
    size, how = first.shape[::-1], cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    aligned = cv2.warpAffine(second, motion, size, flags=how).astype(np.float32, copy=False)
    inside = cv2.warpAffine(np.ones_like(second), motion, size, flags=how) > _INSIDE
    overlap = weights * inside
    if overlap.sum() < _LEAST_OVERLAP * weights.sum():
        return as_they_are
    return max(as_they_are, _correlation(first, aligned, overlap))


def _correlation(first: Image, second: Image, weights: Image) -> float:
    """Pearson's correlation, pixels weighted; 0 if either image is flat."""
    total = float(weights.sum())
    first = first - np.vdot(weights, first) / total
    second = second - np.vdot(weights, second) / total
    covariance = float(np.vdot(weights * first, second))
    variances = float(np.vdot(weights * first, first)) * float(np.vdot(weights * second, second))
    # Rounding may exceed 1 in the last digits.
    return min(1.0, covariance / variances**0.5) if variances > 0 else 0.0


def _close_pairs(
    words: Words, top: int, radius: int, work: Work
) -> Iterator[tuple[Indices, Indices]]:
    """The pairs within the radius of `work.rows` images and those that come after, by block."""
    rows = words[:, top : top + work.rows]
    for left in range(top, words.shape[1], work.columns):
        block = distances(rows, words[:, left : left + work.columns])
        first, second = np.nonzero(block <= radius)
        first, second = first + top, second + left
        ordered = first < second
        yield first[ordered], second[ordered]
