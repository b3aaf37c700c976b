"""The curated schema, as TFDV applies it to real Examples."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_data_validation as tfdv
from apache_beam.options.pipeline_options import PipelineOptions
from google.protobuf import text_format
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorflow_data_validation.statistics import stats_impl
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2
from tfx.types import standard_artifacts
from tfx_bsl.coders import example_coder

from components.data_gate.schema import FILE_NAME, CuratedSchema, curated_schema
from components.example_gen.example import to_example as to_record
from components.example_gen.quality import faults
from components.example_gen.record import (
    CLASS_NAMES,
    NORMAL,
    PNEUMONIA,
    ImageFacts,
    XrayFile,
    finding_labels,
)
from components.example_gen.settings import Quality
from tests.components.data_gate.samples import PNG
from tests.components.example_gen.samples import film, to_example
from tests.examples import image_facts, xray_file

DATASETS = ("pediatric", "nih")
UNKNOWN_WHEN_SERVED = ("label", "findings", "etiology", "boxes", "box_findings")


@pytest.fixture(scope="module")
def schema() -> schema_pb2.Schema:
    return text_format.Parse(curated_schema(DATASETS), schema_pb2.Schema())


def examples() -> list[tf.train.Example]:
    """Films of both datasets and classes, with everything that a dataset may tell."""
    found = []
    for number in range(4):
        label = (NORMAL, PNEUMONIA)[number % 2]
        pixels = film(number, 96, 128)
        pediatric = {"etiology": ("none", "virus", "none", "bacteria")[number]}
        splits = {"source_split": ("train", "val", "test", "train")[number]}
        found.append(to_example(pixels, str(number), label, **pediatric, **splits))
        nih = {
            "findings": ("Infiltration", "Pneumonia") if label else ("No Finding",),
            "age_years": (0, 57, 120, None)[number],
            "sex": ("F", "M", None, "F")[number],
            "view_position": ("PA", "AP", None, "PA")[number],
            "modality": ("CR", "DX", None, "RG")[number],
            "body_part": ("CHEST", "THORAX", None, "LUNG")[number],
            "follow_up": number,
            "boxes": ((0.0, 0.25, 0.5, 0.75),) * label,
            "box_findings": ("Pneumonia",) * label,
        }
        found.append(to_example(pixels, str(number), label, dataset="nih", **nih))
    return found


def statistics(
    records: Sequence[tf.train.Example], schema: schema_pb2.Schema
) -> statistics_pb2.DatasetFeatureStatisticsList:
    """As StatisticsGen computes them, which has the schema too; but without Beam."""
    serialized = [one.SerializeToString() for one in records]
    batch = example_coder.ExamplesToRecordBatchDecoder().DecodeBatch(serialized)
    return stats_impl.generate_statistics_in_memory(batch, tfdv.StatsOptions(schema=schema))


def anomalies(
    found: statistics_pb2.DatasetFeatureStatisticsList,
    schema: schema_pb2.Schema,
    environment: str | None = None,
) -> dict[str, str]:
    result = tfdv.validate_statistics(found, schema, environment=environment)
    return {name: info.description for name, info in result.anomaly_info.items()}


def test_what_the_ingest_writes_has_no_anomaly(tmp_path: Path, schema: schema_pb2.Schema) -> None:
    path = tmp_path / "examples.gz"
    with tf.io.TFRecordWriter(str(path), "GZIP") as writer:
        for record in examples():
            writer.write(record.SerializeToString())
    found = tfdv.generate_statistics_from_tfrecord(
        str(path),
        stats_options=tfdv.StatsOptions(schema=schema),
        pipeline_options=PipelineOptions(["--direct_running_mode=in_memory"]),
    )

    assert anomalies(found, schema) == {}
    assert anomalies(statistics(examples(), schema), schema) == {}, "nor without Beam"


def test_wrong_values_are_anomalies(schema: schema_pb2.Schema) -> None:
    wrong = [
        to_example(film(10), "10", label=2),
        to_example(film(11), "11", dataset="mimic"),
        to_example(np.full((96, 128), 128, np.uint8), "12"),  # blank
        to_example(film(13, 40, 30), "13"),  # a thumbnail
        to_example(film(14), "14", findings=("Broken rib",)),
        to_example(film(15), "15", etiology="fungus"),
        to_example(film(16), "16", dataset="nih", age_years=412, sex="U", view_position="LL"),
        to_example(film(17), "17", dataset="nih", boxes=((0.5, 0.5, 1.5, 0.1),)),
        to_example(film(18), "18", dataset="nih", box_findings=("Shadow",)),
    ]
    found = anomalies(statistics([*examples(), *wrong], schema), schema)
    assert set(found) == {
        "label",
        "dataset",
        "image/std",
        "image/height",
        "image/width",
        "findings",
        "etiology",
        "age_years",
        "sex",
        "view_position",
        "boxes",
        "box_findings",
    }
    assert "mimic" in found["dataset"]


UNLIKE_A_FILM = {
    "image/height",
    "image/width",
    "image/std",
    "image/colour",
    "image/polarity",
    "view_position",
    "modality",
}


def anomalies_by(quality: Quality, films: Sequence[tuple[XrayFile, ImageFacts]]) -> dict[str, str]:
    """What the schema for these settings does not allow in these films."""
    schema = text_format.Parse(curated_schema((), quality), schema_pb2.Schema())
    records = [to_record(file, facts, PNG) for file, facts in films]
    return anomalies(statistics(records, schema), schema)


def test_faults_of_a_film_are_anomalies_only_where_they_are_quarantined() -> None:
    file = xray_file(view_position="LL", modality="CT", body_part="HAND")
    facts = image_facts(height=30, width=30, std=0.0, colour=0.9, polarity=-0.9, mean=0.0)
    for film_of in (Quality(mode="quarantine"), Quality(mode="report_only")):
        assert list(faults(file, facts, film_of))
        expected = UNLIKE_A_FILM if film_of.mode == "quarantine" else set()
        assert set(anomalies_by(film_of, [(file, facts)])) == expected


def test_settings_for_another_kind_of_film_reach_the_schema() -> None:
    loose = Quality(min_side=16, views=("LL",), modalities=("XC",), body_parts=("HAND",))
    film_of = xray_file(view_position="LL", modality="XC", body_part="LEFT HAND")
    assert anomalies_by(loose, [(film_of, image_facts(height=16))]) == {}
    frontal = xray_file(view_position="PA", modality="DX")
    assert set(anomalies_by(loose, [(frontal, image_facts())])) == {"view_position", "modality"}


WORDS = st.sampled_from(("PA", "AP", "LL", "CR", "XC", "CHEST", "PORT CHEST", "HAND", "BIG TOE"))
SHARES = st.floats(0, 1)
QUALITIES = st.builds(
    Quality,
    mode=st.sampled_from(("quarantine", "report_only")),
    min_side=st.integers(1, 200),
    min_contrast=st.floats(0, 0.5),
    max_colour=SHARES,
    min_polarity=st.floats(-1, 1),
    **dict.fromkeys(("modalities", "body_parts", "views"), st.lists(WORDS, max_size=3).map(tuple)),
)
FILES = st.builds(
    xray_file,
    **dict.fromkeys(("modality", "body_part", "view_position"), st.none() | WORDS),
)
FACTS = st.builds(
    image_facts,
    height=st.integers(1, 100_000_000),
    width=st.integers(1, 100_000_000),
    file_bytes=st.integers(1, 10**9),
    std=st.floats(0, 0.5),
    polarity=st.floats(-1, 1),
    sharpness=st.floats(0, 10),
    **dict.fromkeys(("mean", "p01", "p99", "black_border", "colour"), SHARES),
)


@settings(max_examples=60)
@given(quality=QUALITIES, films=st.lists(st.tuples(FILES, FACTS), min_size=1, max_size=6))
def test_what_the_ingest_lets_pass_is_no_anomaly(
    quality: Quality, films: list[tuple[XrayFile, ImageFacts]]
) -> None:
    if quality.mode == "quarantine":
        # What lies on its limits passes.
        views, modalities = quality.views or (None,), quality.modalities or (None,)
        file = xray_file(view_position=views[0], modality=modalities[0])
        on_the_limit = image_facts(
            height=quality.min_side,
            width=quality.min_side,
            std=quality.min_contrast,
            colour=quality.max_colour,
            polarity=quality.min_polarity,
        )
        films = [one for one in films if not list(faults(*one, quality))]
        films.append((file, on_the_limit))
        assert not list(faults(file, on_the_limit, quality))
    assert anomalies_by(quality, films) == {}


def test_the_label_is_asked_for_in_training_and_not_in_serving(schema: schema_pb2.Schema) -> None:
    served = examples()
    for one in served:
        for name in UNKNOWN_WHEN_SERVED:
            one.features.feature.pop(name, None)
    found = statistics(served, schema)
    assert anomalies(found, schema, "SERVING") == {}
    assert set(anomalies(found, schema, "TRAINING")) == {"label", "findings"}


def test_a_dataset_is_added_without_an_edit_of_the_schema(schema: schema_pb2.Schema) -> None:
    found = statistics([to_example(film(1), dataset="mimic")], schema)
    assert "dataset" in anomalies(found, schema)
    for datasets in ([*DATASETS, "mimic"], []):
        wider = text_format.Parse(curated_schema(datasets), schema_pb2.Schema())
        assert anomalies(found, wider) == {}


def test_what_names_an_image_or_stands_for_the_split_is_not_compared(
    schema: schema_pb2.Schema,
) -> None:
    compared = {one.name for one in schema.feature if one.HasField("skew_comparator")}
    drifting = {one.name for one in schema.feature if one.HasField("drift_comparator")}
    uncompared = {one.name for one in schema.feature} - compared
    assert compared == drifting
    assert uncompared == {
        "image/encoded",
        "image/sha256",
        "dataset",
        "filename",
        "patient_id",
        "source_split",
        "label",
        "boxes",
        "box_findings",
    }


def test_labels_are_the_classes(schema: schema_pb2.Schema) -> None:
    (domain,) = (one.int_domain for one in schema.feature if one.name == "label")
    assert (domain.min, domain.max) == (0, len(CLASS_NAMES) - 1)


def test_findings_are_fourteen_labels_where_they_are_asked_for() -> None:
    multi_label = text_format.Parse(
        curated_schema(DATASETS, labels="findings"), schema_pb2.Schema()
    )
    labels = finding_labels(("Mass",), "findings")
    sound = to_example(film(1), "1", dataset="nih", findings=("Mass",), finding_labels=labels)
    wrong = [
        to_example(film(2), "2", dataset="nih", finding_labels=(2, *labels[1:])),
        to_example(film(3), "3", dataset="nih", finding_labels=labels[1:]),
        to_example(film(4), "4", dataset="nih"),
    ]
    assert anomalies(statistics([sound], multi_label), multi_label) == {}
    for one in wrong:
        found = anomalies(statistics([sound, one], multi_label), multi_label)
        assert set(found) == {"finding_labels"}


def test_labels_that_nobody_asked_for_are_an_anomaly(schema: schema_pb2.Schema) -> None:
    one = to_example(film(1), finding_labels=finding_labels((), "findings"))
    assert set(anomalies(statistics([one], schema), schema)) == {"finding_labels"}


def test_the_node_puts_out_the_text_as_it_is(tmp_path: Path) -> None:
    artifact = standard_artifacts.Schema()
    artifact.uri = str(tmp_path)
    CuratedSchema.EXECUTOR_SPEC.executor_class().Do(
        {}, {"schema": [artifact]}, {"text": curated_schema()}
    )
    assert (tmp_path / FILE_NAME).read_text() == curated_schema()
    assert CuratedSchema(text="x").exec_properties == {"text": "x"}
