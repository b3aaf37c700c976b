"""A record as `tf.train.Example`."""

from __future__ import annotations

import dataclasses
from typing import Any

import tensorflow as tf

from components.example_gen import record


def to_example(file: record.XrayFile, facts: record.ImageFacts, encoded: bytes) -> tf.train.Example:
    """The record as ExampleGen writes it.

    Args:
      file: what the dataset says of the image.
      facts: what its bytes tell.
      encoded: an 8-bit grey or RGB JPEG or PNG.
    """
    values: dict[str, Any] = {record.IMAGE: encoded}
    values |= {f"image/{name}": value for name, value in dataclasses.asdict(facts).items()}
    values |= dataclasses.asdict(file)
    del values["path"]
    values[record.BOXES] = [side for box in file.boxes for side in box]
    features = {
        name: _feature(value) for name, value in values.items() if value not in (None, [], ())
    }
    return tf.train.Example(features=tf.train.Features(feature=features))


def _feature(value: Any) -> tf.train.Feature:
    values = list(value) if isinstance(value, list | tuple) else [value]
    if isinstance(values[0], bytes | str):
        as_bytes = [v.encode() if isinstance(v, str) else v for v in values]
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=as_bytes))
    if isinstance(values[0], float):
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))
