import io

import cv2
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from serving.server import image_limits
from serving.server.errors import StatusError


def encoded(kind: str, width: int = 40, height: int = 25, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (width, height)).save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "image",
    [
        encoded("PNG"),
        encoded("JPEG"),
        encoded("JPEG", progressive=True),
        encoded("JPEG", comment=b"\xff\xc0" * 50, exif=b"Exif\0\0" + b"\xff\xc0\x00\x11\x08" * 20),
        encoded("GIF"),
        cv2.imencode(".jpeg", np.zeros((25, 40, 3), np.uint8))[1].tobytes(),
    ],
    ids=["png", "jpeg", "progressive", "misleading segments", "gif", "colour"],
)
def test_pixels_are_those_that_the_graph_would_decode(image: bytes) -> None:
    assert image_limits.pixels(image) == 1000
    decoded = tf.io.decode_image(image, expand_animations=False)
    assert tf.size(decoded[..., 0]) == 1000
    image_limits.check([image], 1000)
    with pytest.raises(StatusError, match=r"tells 1,000 pixels; .* at most 999"):
        image_limits.check([b"text", image], 999)


def test_fill_bytes_before_a_marker() -> None:
    image = encoded("JPEG")
    frame = image.index(b"\xff\xc0")
    assert image_limits.pixels(image[:frame] + b"\xff" * 7 + image[frame:]) == 1000


def test_all_frames_of_an_animation_count() -> None:
    frames = [Image.fromarray(np.full((25, 40), level, np.uint8)) for level in (0, 100, 200)]
    buffer = io.BytesIO()
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:])
    animation = buffer.getvalue()
    assert image_limits.pixels(animation) == 3000
    # The decoder keeps what came before a cut, and so must the count.
    assert image_limits.pixels(animation[:-20]) >= 2000


def test_images_within_examples() -> None:
    example = tf.train.Example()
    example.features.feature["image/encoded"].bytes_list.value.append(encoded("PNG"))
    serialized = example.SerializeToString()
    image_limits.check([serialized], 1000)
    with pytest.raises(StatusError, match="1,000 pixels"):
        image_limits.check([serialized], 999)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF"])
def test_what_is_cut_short_is_left_to_the_graph(kind: str) -> None:
    image = encoded(kind)
    for length in range(len(image)):
        assert image_limits.pixels(image[:length]) in (0, 1000)


def test_other_strings_pass() -> None:
    image_limits.check([b"", b"text", b"BMW", bytes(100)], 1)
