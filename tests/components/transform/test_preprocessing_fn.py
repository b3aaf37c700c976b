"""The Transform node's function in the graph that TFT saves."""

import apache_beam as beam
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_transform as tft
import tensorflow_transform.beam as tft_beam
from apache_beam.options.pipeline_options import PipelineOptions
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2
from tensorflow_transform.tf_metadata import dataset_metadata

from components.data_gate.schema import curated_schema
from components.example_gen import record
from components.transform.preprocessing import preprocess
from components.transform.preprocessing_fn import IMAGE, preprocessing_fn
from tests.components.example_gen.samples import encode, film

SIDE = 40
CONFIG = {"image_size": SIDE}
ENCODED = [encode(film(number), ("PNG", "JPEG")[number % 2]) for number in range(3)]


@pytest.fixture(scope="module")
def transform_output(tmp_path_factory: pytest.TempPathFactory) -> tft.TFTransformOutput:
    """The transform graph of the curated schema, saved and loaded as the Trainer loads it."""
    schema = text_format.Parse(curated_schema(), schema_pb2.Schema())
    metadata = dataset_metadata.DatasetMetadata(schema)
    folder = str(tmp_path_factory.mktemp("transform") / "graph")
    options = PipelineOptions(["--direct_running_mode=in_memory"])
    with (
        beam.Pipeline(options=options) as pipeline,
        tft_beam.Context(temp_dir=str(tmp_path_factory.mktemp("tmp"))),
    ):
        _ = (
            (pipeline | beam.Create([]), metadata)
            | tft_beam.AnalyzeDataset(lambda inputs: preprocessing_fn(inputs, CONFIG))
            | tft_beam.WriteTransformFn(folder)
        )
    return tft.TFTransformOutput(folder)


def test_the_saved_graph_is_the_preprocessing(transform_output: tft.TFTransformOutput) -> None:
    layer = transform_output.transform_features_layer()
    found = layer({record.IMAGE: tf.constant(ENCODED)[:, tf.newaxis]})
    assert set(found) == {IMAGE}
    expected = preprocess(tf.constant(ENCODED), SIDE)
    np.testing.assert_allclose(found[IMAGE], expected, atol=1e-6)


def test_the_transformed_feature_is_a_dense_image(transform_output: tft.TFTransformOutput) -> None:
    (spec,) = transform_output.transformed_feature_spec().values()
    assert list(spec.shape) == [SIDE, SIDE, 3]
    assert spec.dtype == tf.float32


def test_dense_and_sparse_inputs_give_the_same() -> None:
    dense = tf.constant(ENCODED)[:, tf.newaxis]
    expected = preprocess(tf.constant(ENCODED), SIDE)
    for encoded in (dense, tf.sparse.from_dense(dense)):
        found = preprocessing_fn({record.IMAGE: encoded}, CONFIG)
        np.testing.assert_array_equal(found[IMAGE], expected)


def test_other_features_do_not_reach_the_network() -> None:
    inputs = {record.IMAGE: tf.constant(ENCODED)[:, tf.newaxis], record.LABEL: tf.zeros([3, 1])}
    assert set(preprocessing_fn(inputs, CONFIG)) == {IMAGE}
