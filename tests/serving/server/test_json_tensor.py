"""The JSON of tensors, value by value; the routes around it are the conformance suite's."""

import json
import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from serving.server import json_answers, json_tensor
from serving.server.errors import StatusError


def inputs(**dtypes: tf.DType) -> dict[str, Any]:
    """Stands for a signature's TensorInfos, of which only the types count."""
    return {name: SimpleNamespace(dtype=one.as_datatype_enum) for name, one in dtypes.items()}


def decoded(document: Any, **dtypes: tf.DType) -> dict[str, Any]:
    body = json_tensor.parse_predict(json.dumps(document).encode())
    return json_tensor.to_arrays(body, inputs(**dtypes))


FLOATS = arrays.arrays(
    np.float32, arrays.array_shapes(max_dims=3, max_side=4), elements=st.floats(width=32)
)


class TestRoundTrip:
    @settings(max_examples=100)
    @given(FLOATS)
    def test_floats_come_back_bit_by_bit(self, array: Any) -> None:
        text = json_answers.predictions({"x": array}, "row").replace("predictions", "instances")
        (back,) = json_tensor.to_arrays(
            json_tensor.parse_predict(text.encode()), inputs(x=tf.float32)
        ).values()
        np.testing.assert_array_equal(back, array)
        assert back.dtype == np.float32

    @settings(max_examples=50)
    @given(st.lists(st.binary(), min_size=1), st.sampled_from(["row", "columnar"]))
    def test_bytes_come_back(self, values: list[bytes], wanted: Any) -> None:
        array = np.array([*values, None], object)[:-1]
        text = json_answers.predictions({"x_bytes": array}, wanted)
        text = text.replace("predictions", "instances").replace("outputs", "inputs")
        (back,) = json_tensor.to_arrays(
            json_tensor.parse_predict(text.encode()), inputs(x=tf.string)
        ).values()
        assert back.tolist() == values

    @pytest.mark.parametrize(
        "name", ["int8", "uint8", "int16", "int32", "uint32", "int64", "uint64"]
    )
    def test_integers_hold_their_whole_range(self, name: str) -> None:
        dtype = tf.dtypes.as_dtype(name)
        array = np.array([dtype.min, dtype.max], dtype.as_numpy_dtype)
        written = json.loads(json_answers.predictions({"x": array}, "row"))
        (back,) = decoded({"instances": written["predictions"]}, x=dtype).values()
        assert back.tolist() == array.tolist()
        for beyond in (dtype.min - 1, dtype.max + 1):
            with pytest.raises(StatusError, match="out of range"):
                decoded({"instances": [int(beyond)]}, x=dtype)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.2, "0.2"),
        (3, "3.0"),
        (1e-5, "1e-05"),
        (16777216, "1.6777216e+07"),
        (math.nan, "NaN"),
        (math.inf, "Infinity"),
        (-math.inf, "-Infinity"),
        (-0.0, "-0.0"),
    ],
)
def test_how_a_float32_is_written(value: float, text: str) -> None:
    written = json_answers.predictions({"y": np.float32([value])}, "row")
    assert written == f'{{"predictions": [{text}]}}'


def test_doubles_keep_their_digits() -> None:
    written = json_answers.predictions({"y": np.array([0.1 + 0.2])}, "row")
    assert written == '{"predictions": [0.30000000000000004]}'


class TestShapes:
    @pytest.mark.parametrize(
        ("values", "shape"),
        [([1, 2], (2,)), ([[1], [2]], (2, 1)), ([[[1, 2]]], (1, 1, 2)), ([[], []], (2, 0))],
        ids=str,
    )
    def test_rows_make_the_first_dimension(self, values: Any, shape: tuple[int, ...]) -> None:
        assert decoded({"instances": values}, x=tf.float32)["x"].shape == shape

    @pytest.mark.parametrize(
        "values",
        [[1, [2]], [[1], 2], [[1, 2], [3]], [[[1]], [[1, 2]]], [[], [1]], [[1], []], [[1], [[1]]]],
        ids=str,
    )
    def test_ragged_rows_are_refused(self, values: Any) -> None:
        with pytest.raises(StatusError, match="unexpected depth"):
            decoded({"instances": values}, x=tf.float32)

    def test_objects_with_one_b64_are_values_and_others_are_names(self) -> None:
        named = decoded({"instances": [{"b64": {"b64": "AA=="}}]}, b64=tf.string)
        assert named["b64"].tolist() == [b"\0"]
        plain = decoded({"instances": [[{"b64": "AA=="}, "b64"]]}, x=tf.string)
        assert plain["x"].tolist() == [[b"\0", b"b64"]]

    def test_outputs_without_rows_cannot_be_rows(self) -> None:
        with pytest.raises(StatusError, match="y has no shape information"):
            json_answers.predictions({"y": np.float32(1)}, "row")
        with pytest.raises(StatusError, match="inconsistent batch sizes"):
            json_answers.predictions({"a": np.zeros(1), "b": np.zeros(2)}, "row")

    def test_an_answer_of_no_rows(self) -> None:
        empty = {"a": np.zeros((0, 3), np.float32), "b": np.zeros(0, np.int64)}
        assert json.loads(json_answers.predictions(empty, "row")) == {"predictions": []}
        assert json.loads(json_answers.predictions(empty, "columnar")) == {
            "outputs": {"a": [], "b": []}
        }


@pytest.mark.parametrize(
    ("value", "dtype", "kind"),
    [
        ("1", tf.float32, "String is not of expected type: float"),
        (True, tf.int32, "Bool is not of expected type: int32"),
        (1.0, tf.int64, "Number is not of expected type: int64"),
        (1, tf.bool, "Number is not of expected type: bool"),
        (None, tf.float32, "Null is not of expected type: float"),
        ({"b64": "AA=="}, tf.float32, "Object is not of expected type: float"),
        (1, tf.string, "Number is not of expected type: string"),
        ({"b64": 1}, tf.string, "Failed to process element: 0"),
    ],
    ids=str,
)
def test_values_of_another_type_are_refused(value: Any, dtype: tf.DType, kind: str) -> None:
    with pytest.raises(StatusError, match=kind):
        decoded({"instances": [value]}, x=dtype)


@pytest.mark.parametrize("text", ["AP8=", "AP8", "A", "_-8=", "AP 8=", "AP8=AP8="])
def test_base64_of_the_standard_alphabet_alone(text: str) -> None:
    if text in ("AP8=", "AP8"):  # padding may be left out
        assert json_tensor.decode_base64(text) == b"\x00\xff"
        return
    with pytest.raises(StatusError, match="base64"):
        json_tensor.decode_base64(text)
