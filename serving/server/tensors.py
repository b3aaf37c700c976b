"""Between TensorProtos and arrays."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.core.framework import tensor_pb2

from serving.server.errors import invalid

# Of the arrays that a small message can unfold into: one value may stand for all of them.
_MAX_BYTES = 2**30

_FIELDS: dict[int, str] = {
    tf.float32.as_datatype_enum: "float_val",
    tf.float64.as_datatype_enum: "double_val",
    tf.int64.as_datatype_enum: "int64_val",
    tf.uint64.as_datatype_enum: "uint64_val",
    tf.uint32.as_datatype_enum: "uint32_val",
    tf.bool.as_datatype_enum: "bool_val",
    **{
        dtype.as_datatype_enum: "int_val"
        for dtype in (tf.int32, tf.int16, tf.int8, tf.uint16, tf.uint8)
    },
}


def to_array(name: str, proto: tensor_pb2.TensorProto) -> NDArray[Any]:
    """Decodes a tensor of a request.

    Raises:
      StatusError: INVALID_ARGUMENT: it is malformed, or would be too large.
    """
    try:
        dtype = tf.dtypes.as_dtype(proto.dtype)
        itemsize = np.dtype(dtype.as_numpy_dtype).itemsize
        shape = tuple(dim.size for dim in proto.tensor_shape.dim)
        if proto.tensor_shape.unknown_rank or any(size < 0 for size in shape):
            raise ValueError(f"its shape {shape} is not one")
        if math.prod(shape) * itemsize > _MAX_BYTES:
            raise ValueError(f"its shape {shape} is too large")
        if dtype == tf.string:
            return _strings(proto, shape)
        return tf.make_ndarray(proto)
    except (TypeError, ValueError, KeyError, OverflowError) as error:
        raise invalid(f"Tensor {name!r} cannot be read: {error}") from error


def _strings(proto: tensor_pb2.TensorProto, shape: tuple[int, ...]) -> NDArray[np.object_]:
    values = list(proto.string_val)
    count = math.prod(shape)
    if len(values) != count and not (len(values) == 1 and count):
        raise ValueError(f"{len(values)} strings do not fill the shape {shape}")
    array = np.empty(count, object)
    array[:] = values if len(values) == count else values * count
    return array.reshape(shape)


def to_proto(
    array: NDArray[Any], dtype: int, *, as_content: bool = False
) -> tensor_pb2.TensorProto:
    """Encodes an array of an answer, by default in typed fields as TensorFlow Serving does."""
    array = np.asarray(array)
    if array.dtype == object or (dtype not in _FIELDS and not as_content):
        return tf.make_tensor_proto(array, dtype, array.shape)
    proto = tensor_pb2.TensorProto(dtype=dtype)
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    if as_content:
        proto.tensor_content = array.tobytes()
    else:
        getattr(proto, _FIELDS[dtype]).extend(array.ravel().tolist())
    return proto
