"""What the model is asked: synthetic films, in the requests of TensorFlow Serving's API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import classification_pb2, predict_pb2

from components.example_gen import record

# TensorFlow adds it to every export.
_INTERNAL = "__saved_model_init_op"
_ALWAYS = ("serving_default", "serving_examples", "classify", "embed", "transform_features")
# Signatures that came with a section of the contract.
_WITH_SECTION = {"explanation": "explain", "quality": "measure"}
_IMAGES = "image_bytes"
CLASSIFY = "classify"


class CannotAskError(Exception):
    """A signature that takes something else than films."""


def promised(contract: Mapping[str, Any]) -> list[str]:
    """The signatures that a model with this contract has."""
    return [
        *_ALWAYS,
        *(name for section, name in _WITH_SECTION.items() if contract.get(section) is not None),
    ]


def inputs_of(signatures: Mapping[str, meta_graph_pb2.SignatureDef]) -> dict[str, str]:
    """The name of each signature's one input.

    Args:
      signatures: as GetModelMetadata tells them.

    Raises:
      CannotAskError: if one takes other than strings, [N].
    """
    found = {}
    for name, signature in signatures.items():
        if name == _INTERNAL:
            continue
        inputs = dict(signature.inputs)
        if [tensor.dtype for tensor in inputs.values()] != [types_pb2.DT_STRING]:
            raise CannotAskError(
                f"{name} takes {', '.join(sorted(inputs)) or 'nothing'}: one input of encoded "
                "images or serialized Examples was expected"
            )
        (found[name],) = inputs
    return found


def predict_request(
    model: str, signature: str, input_name: str, films: Sequence[bytes]
) -> predict_pb2.PredictRequest:
    """Films to any signature.

    Args:
      model: its name.
      signature: which.
      input_name: of its one input; `image_bytes` takes the films themselves, every other one
        serialized Examples.
      films: encoded images, [N].
    """
    request = predict_pb2.PredictRequest()
    request.model_spec.name = model
    request.model_spec.signature_name = signature
    if input_name != _IMAGES:
        films = [example(film).SerializeToString() for film in films]
    request.inputs[input_name].CopyFrom(tf.make_tensor_proto(films, tf.string, [len(films)]))
    return request


def classification_request(
    model: str, films: Sequence[bytes]
) -> classification_pb2.ClassificationRequest:
    """Films to the Classify API."""
    request = classification_pb2.ClassificationRequest()
    request.model_spec.name = model
    request.model_spec.signature_name = CLASSIFY
    request.input.example_list.examples.extend(example(film) for film in films)
    return request


def example(film: bytes) -> tf.train.Example:
    """A film as an Example of the record."""
    image = tf.train.Feature(bytes_list=tf.train.BytesList(value=[film]))
    return tf.train.Example(features=tf.train.Features(feature={record.IMAGE: image}))
