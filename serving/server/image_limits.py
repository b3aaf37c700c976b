"""Refuses decompression bombs: images whose header promises more pixels than are wanted.

A few hundred bytes of PNG can decode to gigabytes, so that the graph must not see them. The
formats are those of `tf.io.decode_image` that compress (its BMPs are as long as their pixels
are many). What has no readable header is left to the graph, whose decoders need the same header.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

import tensorflow as tf
from google.protobuf.message import DecodeError

from serving.server.errors import invalid

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
_GIF = (b"GIF87a", b"GIF89a")
# ITU-T T.81, table B.1: frame headers are C0 to CF without DHT, JPG and DAC; and the markers
# that no length follows.
_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_BARE = {0x01, *range(0xD0, 0xD9)}


def check(values: Iterable[bytes], max_pixels: int) -> None:
    """Looks at encoded images, and at those within serialized Examples.

    Args:
      values: of a string tensor; what is neither image nor Example passes.
      max_pixels: the most that one image may have.

    Raises:
      StatusError: INVALID_ARGUMENT: an image is larger.
    """
    for value in values:
        if not isinstance(value, bytes):
            continue
        for image in [value] if _is_image(value) else _images_in_example(value):
            found = pixels(image)
            if found > max_pixels:
                raise invalid(
                    f"the image's header tells {found:,} pixels; this server takes at most "
                    f"{max_pixels:,}"
                )


def pixels(image: bytes) -> int:
    """The number of pixels that an image's header tells, of all its frames; 0 if none can."""
    try:
        if image.startswith(_PNG):
            width, height = struct.unpack_from(">II", image, 16)
            return width * height
        if image.startswith(_JPEG):
            return _jpeg_pixels(image)
        if image.startswith(_GIF):
            return sum(_gif_frames(image))
    except (struct.error, IndexError):  # cut short
        pass
    return 0


def _jpeg_pixels(image: bytes) -> int:
    position = 2
    while True:
        position = image.find(b"\xff", position)
        if position < 0:
            return 0
        marker = image[position + 1]
        if marker == 0xFF:  # fill bytes may come before a marker
            position += 1
            continue
        if marker in _FRAMES:
            height, width = struct.unpack_from(">HH", image, position + 5)
            return width * height
        position += 2
        if marker not in _BARE and marker != 0:
            position += struct.unpack_from(">H", image, position)[0]


def _gif_frames(image: bytes) -> Iterator[int]:
    """The pixels of each frame: the decoder keeps them all, and those before a cut too."""
    try:
        position = 13 + _colour_table(image[10])
        while image[position] != 0x3B:
            if image[position] == 0x2C:
                width, height, packed = struct.unpack_from("<HHB", image, position + 5)
                yield width * height
                position += 10 + _colour_table(packed) + 1
            else:
                position += 2
            while size := image[position]:
                position += 1 + size
            position += 1
    except (struct.error, IndexError):
        return


def _colour_table(packed: int) -> int:
    return 3 << ((packed & 7) + 1) if packed & 0x80 else 0


def _is_image(value: bytes) -> bool:
    return value.startswith((_PNG, _JPEG, *_GIF))


def _images_in_example(value: bytes) -> list[bytes]:
    try:
        features = tf.train.Example.FromString(value).features.feature
    except DecodeError:
        return []
    return [
        one for feature in features.values() for one in feature.bytes_list.value if _is_image(one)
    ]
