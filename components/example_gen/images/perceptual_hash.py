"""A perceptual hash for films: 256 bits that a copy keeps and another patient's film does not.

The classic hash (pHash; Zauner 2010, Implementation and Benchmarking of Perceptual Image Hash
Functions) compares the 64 lowest frequencies of an image's cosine transform with their median.
All chest films share these: two lungs, a heart, a dark surround. This hash differs in four points:

- the grey levels are evened out locally first, which takes away the low frequencies, the exposure
  and the weight of a bright marker;
- the border fades out, where crops, paddings and rotations do most of their harm;
- 16 x 16 frequencies, without the first row and column, which know one direction only;
- the sign of a coefficient is its bit. A left-right mirrored film thus flips the bits of the odd
  horizontal frequencies, and an inverted film (white for black) flips all bits, so one pass over
  the hashes finds these copies, too.
"""

from __future__ import annotations

import functools

import cv2
import numpy as np
import numpy.typing as npt

HASH_BYTES = 32
WORDS = HASH_BYTES // 8

Image = npt.NDArray[np.float32]
Words = npt.NDArray[np.uint64]

_SIDE = 64
_FREQUENCIES = 16
_HALF = HASH_BYTES * 8 // 2
_EVENED_SHARE = 1 / 32
# In squared grey levels: below it, what varies is noise, and is left small.
_NOISE = 4.0
_FADE = 0.35
# Smaller coefficients are rounding errors; those of a film are around 1.
_ROUNDING = 0.01


def perceptual_hash(grey: np.ndarray) -> bytes:
    """The hash of an image.

    Args:
      grey: its grey levels, uint8 [height, width], of any size and aspect ratio.

    Returns:
      `HASH_BYTES` bytes; all of them zero for an image without any structure.
    """
    evened = local_contrast(grey, _SIDE) * fade(_SIDE)
    low = cv2.dct(evened)[1 : _FREQUENCIES + 1, 1 : _FREQUENCIES + 1] > _ROUNDING
    # The column of index 0 holds horizontal frequency 1. Even frequencies fill the first two words.
    return np.packbits(np.concatenate([low[:, 1::2], low[:, 0::2]], axis=None)).tobytes()


def local_contrast(grey: np.ndarray, side: int) -> Image:
    """An image made small and square, with its grey levels evened out locally.

    Args:
      grey: grey levels, uint8 [height, width].
      side: height and width of the result, in pixels.

    Returns:
      The deviation from the local mean over the local standard deviation, float32 [side, side].
    """
    small = cv2.resize(grey, (side, side), interpolation=cv2.INTER_AREA).astype(np.float32)
    deviation = small - _blur(small)
    return deviation / np.sqrt(_blur(deviation * deviation) + np.float32(_NOISE))


@functools.lru_cache
def fade(side: int) -> Image:
    """Weights [side, side] that fall towards the border: a flattened Hann window."""
    window = np.hanning(side + 2)[1:-1] ** _FADE
    weights = np.outer(window, window).astype(np.float32)
    weights.flags.writeable = False
    return weights


def to_words(hash_bytes: bytes) -> Words:
    """Hashes on end as words, uint64 [WORDS, images], for `distances`."""
    return np.ascontiguousarray(np.frombuffer(hash_bytes, np.uint64).reshape(-1, WORDS).T)


def distances(first: Words, second: Words) -> npt.NDArray[np.uint8]:
    """How many bits differ between every two hashes, as they are, mirrored or inverted.

    Half of the bits flips when a film is mirrored, all flip when it is inverted. So each half
    counts as it is or flipped, whichever is closer, and one comparison serves for all four.

    Args:
      first: words, uint64 [WORDS, a].
      second: words, uint64 [WORDS, b].

    Returns:
      The smallest of the four distances, uint8 [a, b].
    """
    even = _differing(first[:2], second[:2])
    odd = _differing(first[2:], second[2:])
    np.minimum(even, _HALF - even, out=even)
    np.minimum(odd, _HALF - odd, out=odd)
    even += odd
    return even


def orientation(first: Words, second: Words) -> tuple[bool, bool]:
    """As what a film is closest to another: mirrored or not, inverted or not.

    Args:
      first: the words of one hash, uint64 [WORDS].
      second: the words of the other.
    """
    differing = np.bitwise_count(first ^ second)
    even, odd = int(differing[:2].sum()), int(differing[2:].sum())
    inverted = even > _HALF // 2
    mirrored = (odd > _HALF // 2) != inverted
    return mirrored, inverted


def _differing(first: Words, second: Words) -> npt.NDArray[np.uint8]:
    """Differing bits of every two pairs of words, uint8 [a, b]."""
    high = np.bitwise_count(first[0][:, None] ^ second[0][None])
    high += np.bitwise_count(first[1][:, None] ^ second[1][None])
    return high


def _blur(image: Image) -> Image:
    # Reflection keeps the border free of edges that are not in the film.
    sigma = image.shape[0] * _EVENED_SHARE
    return cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101).astype(
        np.float32, copy=False
    )
