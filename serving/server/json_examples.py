"""TensorFlow Serving's JSON for Examples: the bodies of classify and regress, and their answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import classification_pb2, input_pb2, regression_pb2

from serving.server.errors import invalid
from serving.server.json_tensor import decode_base64, parse, signature_name

_INT64 = range(-(2**63), 2**63)


def parse_examples(body: bytes) -> tuple[str, input_pb2.Input]:
    """Parses the body of a classify or regress request: signature's name, and its input.

    Raises:
      StatusError: INVALID_ARGUMENT: not JSON, no list of examples, or a feature that is none.
    """
    document = parse(body)
    name = signature_name(document)
    listed = document.get("examples")
    if not isinstance(listed, list) or not listed:
        raise invalid("Expecting 'examples' value to be an non-empty list/array")
    examples = [_example(one, f"'examples' list, element {n}") for n, one in enumerate(listed)]
    request_input = input_pb2.Input()
    if "context" in document:
        context = _example(document["context"], "'context'")
        request_input.example_list_with_context.context.CopyFrom(context)
        request_input.example_list_with_context.examples.extend(examples)
    else:
        request_input.example_list.examples.extend(examples)
    return name, request_input


def classifications(response: classification_pb2.ClassificationResponse) -> str:
    """Writes the answer of classify: for each example its classes, as [label, score]."""
    rows = (
        ", ".join(f"[{json.dumps(one.label)}, {_number(one.score)}]" for one in example.classes)
        for example in response.result.classifications
    )
    return f'{{"results": [{", ".join(f"[{row}]" for row in rows)}]}}'


def regressions(response: regression_pb2.RegressionResponse) -> str:
    """Writes the answer of regress: a number for each example."""
    values = (_number(one.value) for one in response.result.regressions)
    return f'{{"results": [{", ".join(values)}]}}'


def _number(value: float) -> str:
    text = str(np.float32(value))
    return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}.get(text, text)


def _example(value: Any, where: str) -> tf.train.Example:
    if not isinstance(value, Mapping):
        raise invalid(f"Expecting {where} to be an object")
    example = tf.train.Example()
    for name, held in value.items():
        values = held if isinstance(held, list) else [held]
        _fill(example.features.feature[name], values, f"{where}, feature {name}")
    return example


def _fill(feature: Any, values: list[Any], where: str) -> None:
    kinds = {_kind(value, where) for value in values}
    if kinds == {"int64", "float"}:  # one decimal point makes them all floats
        kinds = {"float"}
    if len(kinds) > 1:
        raise invalid(f"Unexpected mix of types in {where}: {', '.join(sorted(kinds))}")
    if kinds == {"bytes"}:
        feature.bytes_list.value.extend(map(_bytes, values))
    elif kinds == {"int64"}:
        feature.int64_list.value.extend(map(int, values))
    elif kinds == {"float"}:
        feature.float_list.value.extend(float(np.float32(value)) for value in values)


def _kind(value: Any, where: str) -> str:
    if isinstance(value, str) or (isinstance(value, dict) and set(value) == {"b64"}):
        return "bytes"
    if isinstance(value, int) and value in _INT64:
        return "int64"
    if isinstance(value, float):
        return "float"
    raise invalid(f"Unsupported value in {where}: {json.dumps(value)[:100]}")


def _bytes(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    if not isinstance(value["b64"], str):
        raise invalid("'b64' must hold a string")
    return decode_base64(value["b64"])
