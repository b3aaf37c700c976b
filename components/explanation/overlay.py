"""Heat on films, drawn in the TensorFlow graph: what the exported model answers with.

Drawn on what the network saw of the film, stretched back to the film's own aspect ratio: it is at
hand, where to decode and shrink the film once more would take longer than all of the drawing.
"""

from __future__ import annotations

import tensorflow as tf

from components.explanation.colours import LEVELS, blending_table

# Pixels of the longer side: a little more than the network sees of it.
MAX_SIDE = 320
# Of zlib, the fastest: finer levels save a tenth of the bytes, and take twice as long or more.
_COMPRESSION = 1
_PNG = b"\x89PNG"


def draw_overlays(
    encoded: tf.Tensor, images: tf.Tensor, heat: tf.Tensor, *, opacity: float
) -> tf.Tensor:
    """Lay heat on films.

    Args:
      encoded: the films, string [N]; each an 8-bit grey or RGB JPEG or PNG. Their shapes are read.
      images: what the network sees of them, float32 [N, S, S, C] on [0, 1], of equal channels.
      heat: float32 [N, h, w] on [0, 1], of any grid: it covers the whole film, as `images` do, and
        is interpolated between the cells.
      opacity: of heat 1. A colder place is more transparent in proportion.

    Returns:
      PNGs, string [N]: RGB, of each film's own aspect ratio, never larger than the film, and of at
      most `MAX_SIDE` pixels a side.
    """
    table = blending_table(opacity).reshape(-1, 3)

    def draw(one: tuple[tf.Tensor, tf.Tensor, tf.Tensor]) -> tf.Tensor:
        size = _drawn_size(_film_shape(one[0]))
        film = _levels(tf.image.resize(one[1], size))
        level = _levels(tf.image.resize(one[2], size))
        blended = tf.gather(table, (level * LEVELS + film)[..., 0])
        return tf.io.encode_png(blended, compression=_COMPRESSION)

    return tf.map_fn(
        draw,
        (encoded, images[..., :1], heat[..., tf.newaxis]),
        fn_output_signature=tf.TensorSpec([], tf.string),
        parallel_iterations=16,
    )


def _film_shape(encoded: tf.Tensor) -> tf.Tensor:
    """Rows and columns, as the header says them: int32 [2]."""

    def of_png() -> tf.Tensor:
        # After eight bytes of signature, four of length and four of name: width and height.
        sides = tf.io.decode_raw(tf.strings.substr(encoded, 16, 8), tf.int32, little_endian=False)
        return tf.ensure_shape(tf.reverse(sides, [0]), [2])

    is_png = tf.equal(tf.strings.substr(encoded, 0, len(_PNG)), _PNG)
    return tf.cond(is_png, of_png, lambda: tf.io.extract_jpeg_shape(encoded)[:2])


def _drawn_size(shape: tf.Tensor) -> tf.Tensor:
    sides = tf.cast(shape, tf.float64)
    scale = tf.minimum(MAX_SIDE / tf.reduce_max(sides), 1.0)
    return tf.cast(tf.maximum(tf.round(sides * scale), 1.0), tf.int32)


def _levels(fraction: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.round(fraction * (LEVELS - 1)), tf.int32)
