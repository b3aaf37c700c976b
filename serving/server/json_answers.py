"""TensorFlow Serving's JSON for answers: tensors, classes and values.

A float32 is printed with the digits that tell it from other float32s, and NaN and infinities as
if JSON had them.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tensorflow_serving.apis import classification_pb2, regression_pb2

from serving.server.errors import invalid
from serving.server.json_tensor import Format

_BYTES_SUFFIX = "_bytes"
_NOT_FINITE = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


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


def classifications(response: classification_pb2.ClassificationResponse) -> str:
    """Writes the answer of classify: for each example its classes, as [label, score]."""
    rows = (
        ", ".join(f"[{json.dumps(one.label)}, {_float32(one.score)}]" for one in example.classes)
        for example in response.result.classifications
    )
    return f'{{"results": [{", ".join(f"[{row}]" for row in rows)}]}}'


def regressions(response: regression_pb2.RegressionResponse) -> str:
    """Writes the answer of regress: a number for each example."""
    values = (_float32(one.value) for one in response.result.regressions)
    return f'{{"results": [{", ".join(values)}]}}'


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
        texts = _shortest(flat)
    written = np.empty(len(texts), object)
    written[:] = texts
    return written.reshape(array.shape).tolist()


def _shortest(flat: NDArray[Any]) -> list[str]:
    # At the array's own precision: a float32 that became a Python float has 17 digits.
    if flat.dtype not in (np.float32, np.float64):
        flat = flat.astype(np.float32)
    return [_NOT_FINITE.get(text, text) for text in flat.astype(str).tolist()]


def _float32(value: float) -> str:
    return _shortest(np.array([value], np.float32))[0]


def _written_string(value: Any, *, as_base64: bool) -> str:
    data = value if isinstance(value, bytes) else str(value).encode()
    if as_base64:
        return f'{{"b64": "{base64.b64encode(data).decode("ascii")}"}}'
    return json.dumps(data.decode("utf-8", "replace"), ensure_ascii=False)
