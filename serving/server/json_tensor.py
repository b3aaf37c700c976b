"""TensorFlow Serving's JSON for tensors: `instances` or `inputs` in, answers out.

Not plain JSON: NaN and infinities are numbers, what follows the object is ignored, and a
float32 is printed with the digits that tell it from other float32s.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from serving.server.errors import Code, StatusError, invalid

Format: TypeAlias = Literal["row", "columnar"]

_B64 = "b64"
_BYTES_SUFFIX = "_bytes"
_JSON_TYPES = {str: "String", bool: "Bool", dict: "Object", list: "Array", type(None): "Null"}
_MAX_SHOWN = 100


@dataclass(frozen=True)
class PredictBody:
    """A request for predictions, before its tensors are made.

    Attributes:
      signature_name: "" where the request names none.
      format: row for `instances`, columnar for `inputs`.
      values: what the key holds.
    """

    signature_name: str
    format: Format
    values: Any


def parse(body: bytes) -> dict[str, Any]:
    """Parses the object that a body begins with.

    Raises:
      StatusError: INVALID_ARGUMENT: there is no object.
    """
    try:
        text = body.decode("utf-8").lstrip()
    except UnicodeDecodeError as error:
        raise invalid(f"JSON Parse error: Invalid value. at offset: {error.start}") from error
    if not text:
        raise invalid("JSON Parse error: The document is empty")
    try:
        value, _ = json.JSONDecoder().raw_decode(text)
    except json.JSONDecodeError as error:
        raise invalid(f"JSON Parse error: Invalid value. at offset: {error.pos}") from error
    except RecursionError as error:
        raise invalid("JSON Parse error: The document is nested too deeply") from error
    except ValueError as error:  # an integer of thousands of digits
        raise invalid(f"JSON Parse error: Invalid value: {error}") from error
    if not isinstance(value, dict):
        raise invalid("JSON Parse error: The document is not an object")
    return value


def parse_predict(body: bytes) -> PredictBody:
    """Parses the body of a predict request.

    Raises:
      StatusError: INVALID_ARGUMENT: not JSON, or not exactly one of `instances` and `inputs`.
    """
    document = parse(body)
    name = signature_name(document)
    if "instances" in document:
        if "inputs" in document:
            raise invalid("Not formatted correctly expecting only one of 'inputs' or 'instances'")
        instances = document["instances"]
        if not isinstance(instances, list) or not instances:
            raise invalid("Expecting 'instances' to be an non-empty array/list")
        return PredictBody(name, "row", instances)
    if "inputs" in document:
        return PredictBody(name, "columnar", document["inputs"])
    raise invalid("Missing 'inputs' or 'instances' key")


def signature_name(document: Mapping[str, Any]) -> str:
    """The signature that a request names, "" for the default.

    Raises:
      StatusError: INVALID_ARGUMENT: it is no string.
    """
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        raise invalid("'signature_name' key must be a string value.")
    return name


def to_arrays(body: PredictBody, inputs: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """Makes the tensors of a request.

    Args:
      body: the request.
      inputs: the signature's TensorInfos by name.

    Raises:
      StatusError: INVALID_ARGUMENT: names, types or shapes do not fit; UNIMPLEMENTED: an input
        of a type that JSON cannot hold.
    """
    try:
        if body.format == "row":
            return _rows(body.values, inputs)
        return _columns(body.values, inputs)
    except RecursionError as error:
        raise invalid("JSON Value: nested too deeply") from error


def _rows(instances: list[Any], inputs: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    if not _is_named(instances[0]):
        if len(inputs) != 1:
            raise invalid(
                "instances is a plain list, but expecting list of objects as multiple input "
                "tensors required as per tensorinfo_map"
            )
        ((name, info),) = inputs.items()
        if any(_is_named(row) for row in instances):
            raise invalid("JSON Value: Object, but 'instances' is a list of values/lists")
        return {name: _array(name, instances, info.dtype)}
    columns: dict[str, list[Any]] = {name: [] for name in inputs}
    for number, row in enumerate(instances):
        if not _is_named(row):
            raise invalid(f"Failed to process element: {number} of 'instances' list: not an object")
        if set(row) != set(inputs):
            raise invalid(
                f"Failed to process element: {number} key: "
                f"{next(iter(sorted(set(row) ^ set(inputs))))} of 'instances' list. JSON object: "
                f"does not have keys: {','.join(sorted(inputs))}"
            )
        for name, value in row.items():
            columns[name].append(value)
    return {name: _array(name, column, inputs[name].dtype) for name, column in columns.items()}


def _columns(values: Any, inputs: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    if not _is_named(values):
        if len(inputs) != 1:
            raise invalid(
                "inputs is a plain value/list, but expecting an object as multiple "
                "input tensors required as per tensorinfo_map"
            )
        ((name, info),) = inputs.items()
        return {name: _array(name, values, info.dtype)}
    for name in inputs:
        if name not in values:
            raise invalid(f"Missing named input: {name} in 'inputs' object.")
    # Names that the signature does not know are ignored here, unlike in rows.
    return {name: _array(name, values[name], info.dtype) for name, info in inputs.items()}


def _is_named(value: Any) -> bool:
    return isinstance(value, dict) and not _is_base64(value)


def _is_base64(value: Any) -> bool:
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get(_B64), str)


def _array(name: str, value: Any, number: int) -> NDArray[Any]:
    dtype = tf.dtypes.as_dtype(number)
    shape: list[int] = []
    inner = value
    while isinstance(inner, list):
        shape.append(len(inner))
        inner = inner[0] if inner else None
    flat = list(_flattened(name, value, shape))
    if dtype == tf.string:
        array = np.empty(len(flat), object)
        array[:] = [_string(one) for one in flat]
        return array.reshape(shape)
    if dtype.is_complex or dtype in (tf.float16, tf.bfloat16) or dtype.is_quantized:
        raise StatusError(
            Code.UNIMPLEMENTED, f"JSON conversion to type {dtype.name} is not supported"
        )
    _check_types(flat, dtype)
    try:
        return np.array(flat, dtype.as_numpy_dtype).reshape(shape)
    except (OverflowError, ValueError) as error:
        raise invalid(f"JSON Value: {name}: {error}") from error


def _flattened(name: str, value: Any, shape: list[int]) -> Iterator[Any]:
    """The values, in row-major order; lists must have the lengths of each depth's first."""
    if not shape:
        if isinstance(value, list):
            raise invalid(f"Encountered list at unexpected depth in tensor {name}")
        yield value
        return
    if not isinstance(value, list) or len(value) != shape[0]:
        found = f"size {len(value)}" if isinstance(value, list) else "a value"
        raise invalid(
            f"Encountered {found} at unexpected depth or size in tensor {name}: "
            f"expected a list of size {shape[0]}"
        )
    if len(shape) == 1:
        if any(isinstance(one, list) for one in value):
            raise invalid(f"Encountered list at unexpected depth in tensor {name}")
        yield from value
        return
    for one in value:
        yield from _flattened(name, one, shape[1:])


def _string(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    if _is_base64(value):
        return decode_base64(value[_B64])
    raise _mismatch(value, "string")


def decode_base64(text: str) -> bytes:
    """Decodes standard base64, not the URL-safe alphabet.

    Raises:
      StatusError: INVALID_ARGUMENT: it is not.
    """
    try:
        # Padding may be left out.
        return base64.b64decode(
            text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), validate=True
        )
    except (binascii.Error, ValueError) as error:
        raise invalid(f"Unable to base64 decode: {error}") from error


def _check_types(flat: list[Any], dtype: tf.DType) -> None:
    allowed: set[type] = {bool} if dtype == tf.bool else {int}
    if dtype.is_floating:
        allowed.add(float)
    if not set(map(type, flat)) <= allowed:
        wrong = next(value for value in flat if type(value) not in allowed)
        raise _mismatch(wrong, "bool" if dtype == tf.bool else dtype.name)
    if dtype.is_integer and flat and not dtype.min <= min(flat) <= max(flat) <= dtype.max:
        raise invalid(f"JSON Value: a number is out of range for type: {dtype.name}")


def _mismatch(value: Any, expected: str) -> StatusError:
    kind = _JSON_TYPES.get(type(value), "Number")
    shown = json.dumps(value)[:_MAX_SHOWN]
    return invalid(f"JSON Value: {shown} Type: {kind} is not of expected type: {expected}")


def predictions(outputs: Mapping[str, NDArray[Any]], wanted: Format) -> str:
    """Writes an answer.

    Args:
      outputs: arrays by the signature's output names.
      wanted: the format of the request.

    Raises:
      StatusError: INVALID_ARGUMENT: outputs that cannot be split into rows.
    """
    written = {
        name: _written(array, as_base64=name.endswith(_BYTES_SUFFIX))
        for name, array in outputs.items()
    }
    if wanted == "columnar":
        if len(written) == 1:
            return f'{{"outputs": {_joined(next(iter(written.values())))}}}'
        fields = (f"{json.dumps(name)}: {_joined(value)}" for name, value in written.items())
        return f'{{"outputs": {{{", ".join(fields)}}}}}'
    for name, array in outputs.items():
        if not array.ndim:
            raise invalid(f"Tensor name: {name} has no shape information")
    if len({len(array) for array in outputs.values()}) > 1:
        sizes = ", ".join(f"{name}: {len(array)}" for name, array in outputs.items())
        raise invalid(f"Tensors have inconsistent batch sizes: {sizes}")
    if len(written) == 1:
        return f'{{"predictions": {_joined(next(iter(written.values())))}}}'
    rows = (
        "{" + ", ".join(f"{json.dumps(n)}: {_joined(v[row])}" for n, v in written.items()) + "}"
        for row in range(len(next(iter(outputs.values()))))
    )
    return f'{{"predictions": [{", ".join(rows)}]}}'


def _joined(value: Any) -> str:
    """Nested lists of written values as one text."""
    return f"[{', '.join(map(_joined, value))}]" if isinstance(value, list) else value


def _written(array: NDArray[Any], *, as_base64: bool) -> Any:
    """The array as nested lists, each value as JSON."""
    array = np.asarray(array)
    flat = array.ravel()
    if array.dtype == object or array.dtype.kind in "SU":
        texts = [_written_string(value, as_base64=as_base64) for value in flat.tolist()]
    elif array.dtype == bool:
        texts = ["true" if value else "false" for value in flat.tolist()]
    elif np.issubdtype(array.dtype, np.integer):
        texts = [str(value) for value in flat.tolist()]
    else:
        texts = [_NOT_FINITE.get(text, text) for text in _shortest(flat)]
    written = np.empty(len(texts), object)
    written[:] = texts
    return written.reshape(array.shape).tolist()


_NOT_FINITE = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


def _shortest(flat: NDArray[Any]) -> list[str]:
    # At the array's own precision: a float32 that became a Python float has 17 digits.
    if flat.dtype not in (np.float32, np.float64):
        flat = flat.astype(np.float32)
    return [str(text) for text in flat.astype(str)]


def _written_string(value: Any, *, as_base64: bool) -> str:
    data = value if isinstance(value, bytes) else str(value).encode()
    if as_base64:
        return f'{{"b64": "{base64.b64encode(data).decode("ascii")}"}}'
    return json.dumps(data.decode("utf-8", "replace"), ensure_ascii=False)
