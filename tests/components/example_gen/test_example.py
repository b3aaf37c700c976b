"""The Example contract, value by value."""

import hashlib
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2
from tensorflow_transform.tf_metadata import schema_utils

from components.data_gate.schema import curated_schema
from components.example_gen.record import PATHOLOGIES, PNEUMONIA, finding_labels
from tests.components.example_gen.samples import encode, film, to_example

ALWAYS = {
    "image/encoded": "bytes_list",
    "image/sha256": "bytes_list",
    "image/format": "bytes_list",
    "image/height": "int64_list",
    "image/width": "int64_list",
    "image/file_bytes": "int64_list",
    "image/mean": "float_list",
    "image/std": "float_list",
    "image/p01": "float_list",
    "image/p99": "float_list",
    "image/black_border": "float_list",
    "image/sharpness": "float_list",
    "image/colour": "float_list",
    "image/polarity": "float_list",
    "dataset": "bytes_list",
    "filename": "bytes_list",
    "patient_id": "bytes_list",
    "label": "int64_list",
    "findings": "bytes_list",
}
PEDIATRIC = {"etiology": "bytes_list", "source_split": "bytes_list"}
NIH = {
    "age_years": "int64_list",
    "sex": "bytes_list",
    "view_position": "bytes_list",
    "follow_up": "int64_list",
    "boxes": "float_list",
    "box_findings": "bytes_list",
}
DICOM = {"modality": "bytes_list", "body_part": "bytes_list", "sex": "bytes_list"}

MULTI_LABEL = {"finding_labels": "int64_list"}

FILM = film(5)
LABELS = tuple(int(name in ("Effusion", "Hernia")) for name in PATHOLOGIES)
BOXES = ((0.25, 0.5, 0.125, 0.0625), (0.0, 0.0, 1.0, 1.0))


def pediatric_example() -> tf.train.Example:
    return to_example(
        FILM, "virus-12", PNEUMONIA, filename="ü.png", etiology="virus", source_split="test"
    )


def nih_example() -> tf.train.Example:
    # A newborn at the first visit: zeros, which are values too.
    return to_example(
        FILM,
        "13",
        PNEUMONIA,
        dataset="nih",
        findings=("Effusion", "Pneumonia"),
        age_years=0,
        sex="F",
        view_position="AP",
        follow_up=0,
        boxes=BOXES,
        box_findings=("Pneumonia",) * len(BOXES),
    )


def dicom_example() -> tf.train.Example:
    return to_example(FILM, "digest", dataset="dicom", modality="DX", body_part="CHEST", sex="M")


def kinds(one: tf.train.Example) -> dict[str, str]:
    return {name: feature.WhichOneof("kind") for name, feature in one.features.feature.items()}


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (to_example(FILM), ALWAYS),
        (pediatric_example(), ALWAYS | PEDIATRIC),
        (nih_example(), ALWAYS | NIH),
        (dicom_example(), ALWAYS | DICOM),
        (to_example(FILM, finding_labels=LABELS), ALWAYS | MULTI_LABEL),
    ],
    ids=["bare", "pediatric", "nih", "dicom", "multi-label"],
)
def test_present_values_have_their_type_and_absent_ones_are_absent(
    one: tf.train.Example, expected: dict[str, str]
) -> None:
    assert kinds(one) == expected


def test_values_come_back_by_the_curated_schema() -> None:
    schema = text_format.Parse(curated_schema(), schema_pb2.Schema())
    spec = schema_utils.schema_as_feature_spec(schema).feature_spec
    assert set(spec) == set(ALWAYS | PEDIATRIC | NIH | DICOM)

    examples = [nih_example(), pediatric_example(), dicom_example()]
    batch = tf.io.parse_example([one.SerializeToString() for one in examples], spec)

    def values(name: str, row: int) -> list[Any]:
        feature = batch[name]
        if isinstance(feature, tf.SparseTensor):
            return feature.values[feature.indices[:, 0] == row].numpy().tolist()
        return feature[row].numpy().ravel().tolist()

    data = encode(FILM)
    assert values("image/encoded", 0) == [data]
    assert values("image/sha256", 0) == [hashlib.sha256(data).hexdigest().encode()]
    assert values("image/height", 0) + values("image/width", 0) == list(FILM.shape)
    np.testing.assert_allclose(values("image/mean", 0), FILM.mean() / 255, rtol=1e-6)
    assert [values("label", row) for row in range(3)] == [[1], [1], [0]]
    assert values("findings", 0) == [b"Effusion", b"Pneumonia"]
    assert values("boxes", 0) == [side for box in BOXES for side in box]
    assert values("box_findings", 0) == [b"Pneumonia"] * len(BOXES)
    assert values("age_years", 0) == values("follow_up", 0) == [0]
    assert values("patient_id", 0) == [b"nih:13"]
    assert values("patient_id", 1) == [b"pediatric:virus-12"]
    assert values("filename", 1) == ["ü.png".encode()]
    assert values("etiology", 1) == [b"virus"]
    assert values("modality", 2) == [b"DX"]
    assert values("modality", 0) == values("body_part", 1) == []
    # Polarity and colour of the grey film, as numbers of single precision.
    assert values("image/colour", 0) == [0.0]
    assert -1 <= values("image/polarity", 0)[0] <= 1
    assert values("age_years", 1) == values("etiology", 2) == values("boxes", 2) == []


def test_labels_of_the_findings_come_back_in_their_order() -> None:
    schema = text_format.Parse(curated_schema(labels="findings"), schema_pb2.Schema())
    spec = schema_utils.schema_as_feature_spec(schema).feature_spec
    one = to_example(FILM, finding_labels=finding_labels(("Hernia", "Effusion"), "findings"))
    parsed = tf.io.parse_single_example(one.SerializeToString(), spec)
    assert parsed["finding_labels"].shape == (14,)
    assert tuple(parsed["finding_labels"].numpy()) == LABELS


def test_pneumonia_alone_is_no_list_of_labels() -> None:
    assert finding_labels(("Pneumonia",), "pneumonia") == ()
