"""The ingest as it runs in the pipeline: real folders in, gzipped TFRecords and a report out."""

import collections
import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from tfx.dsl.components.base import base_beam_executor
from tfx.types import artifact_utils, standard_artifacts

from components.example_gen import executor
from components.example_gen.artifacts import IngestReport
from components.example_gen.component import XrayExampleGen
from components.example_gen.listing import DatasetError
from components.example_gen.record import CLASS_NAMES
from components.example_gen.split import SPLITS
from tests.components.example_gen.samples import (
    FRACTIONS,
    NIH_TABLE,
    encode,
    film,
    nih_row,
    write,
    write_nih,
    write_pediatric,
)

IMAGES = 40
NORMALS_PER_PNEUMONIA = 0.5
BALANCED = "normal left out to balance"
IN_MEMORY = ("--direct_running_mode=in_memory",)
TWO_THREADS = ("--direct_running_mode=multi_threading", "--direct_num_workers=2")

# What is wrong with each bad file, and what the report should say of it.
LEFT_OUT = {
    "file is empty": 1,
    "file is not an image": 1,
    "image data is damaged or cut short": 2,
    "file name is not UTF-8": 1,
    "not an image by its name": 1,
    "exact duplicate of another image": 2,
    "row of the table whose image is not on disk": 1,
    "image on disk without a row in the table": 1,
    "other finding, neither normal nor pneumonia": 1,
}


@dataclasses.dataclass(frozen=True)
class Ingest:
    """What a run wrote."""

    splits: Mapping[str, Sequence[tf.train.Example]]
    report: Mapping[str, Any]

    def values(self, name: str, split: str) -> list[bytes | int]:
        """A feature's value in every Example of a split."""
        found = []
        for one in self.splits[split]:
            feature = one.features.feature[name]
            (value,) = feature.bytes_list.value or feature.int64_list.value
            found.append(value)
        return found


def ingest(
    data_root: Path,
    out: Path,
    *,
    datasets: Sequence[str] = ("pediatric", "nih"),
    beam_args: Sequence[str] = IN_MEMORY,
) -> Ingest:
    """Run the executor as TFX does, with the settings of the component itself."""
    node = XrayExampleGen(
        sources={name: str(data_root) for name in datasets},
        fractions=FRACTIONS,
        salt="cxr",
        normals_per_pneumonia={"nih": NORMALS_PER_PNEUMONIA},
        fingerprint="",
        code="",
    )
    examples, report = standard_artifacts.Examples(), IngestReport()
    examples.uri, report.uri = str(out / "examples"), str(out / "report")
    Path(report.uri).mkdir(parents=True)
    context = base_beam_executor.BaseBeamExecutor.Context(
        beam_pipeline_args=list(beam_args), tmp_dir=str(out / "tmp"), unique_id="1"
    )
    executor.Executor(context).Do(
        {}, {"examples": [examples], "report": [report]}, dict(node.exec_properties)
    )
    assert artifact_utils.decode_split_names(examples.split_names) == list(SPLITS)
    return Ingest(
        {split: read_split(examples, split) for split in SPLITS},
        json.loads((Path(report.uri) / "ingest.json").read_text()),
    )


def read_split(examples: standard_artifacts.Examples, split: str) -> list[tf.train.Example]:
    shards = sorted(Path(artifact_utils.get_split_uri([examples], split)).iterdir())
    assert all(shard.suffix == ".gz" for shard in shards)
    records = tf.data.TFRecordDataset([str(shard) for shard in shards], compression_type="GZIP")
    return [tf.train.Example.FromString(record) for record in records.as_numpy_iterator()]


@pytest.fixture(scope="module")
def data_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both datasets, with everything wrong in them that one meets."""
    root = tmp_path_factory.mktemp("data")
    normals = write_pediatric(root, IMAGES) / "train/NORMAL"
    whole = encode(film(7001), "JPEG")
    write(normals / "IM-7001-0001.jpeg", whole[: len(whole) // 2])
    write(normals / "IM-7002-0001.jpeg", b"Not found. Please sign in.\n")
    write(normals / "IM-7003-0001.jpeg", b"")
    write(normals / "IM-7004-0001.jpeg", encode(film(0), "JPEG"))  # as the first of the sample
    write(normals / os.fsdecode(b"IM-\xff-0001.jpeg"), whole)
    write(normals / ".DS_Store", b"\0")

    nih = write_nih(root, IMAGES)
    png = encode(film(7005))
    write(nih / "images/without_row.png", png)
    write(nih / "images/cut_short.png", png[:-6])
    write(nih / "images/other.png", png)
    write(nih / "images/duplicate.png", encode(film(1000)))
    write(nih / "images/palette.png", encode(film(7006), mode="P"))
    rows = [
        nih_row("without_image.png", patient=7001),
        nih_row("cut_short.png", patient=7002),
        nih_row("other.png", patient=7003, findings="Mass"),
        nih_row("duplicate.png", patient=7004),
        nih_row("palette.png", patient=7005),
    ]
    write(nih / NIH_TABLE, (nih / NIH_TABLE).read_bytes() + "\n".join(rows).encode())
    return root


@pytest.fixture(scope="module", params=[IN_MEMORY, TWO_THREADS], ids=["one worker", "two threads"])
def ingested(
    request: pytest.FixtureRequest, data_root: Path, tmp_path_factory: pytest.TempPathFactory
) -> Ingest:
    return ingest(data_root, tmp_path_factory.mktemp("out"), beam_args=request.param)


def test_bad_files_are_left_out_with_their_reason_and_stop_nothing(ingested: Ingest) -> None:
    found = {key: n for key, n in ingested.report["left_out"].items() if key != BALANCED}
    assert found == LEFT_OUT


def test_the_report_adds_up(ingested: Ingest) -> None:
    report = ingested.report
    left_out = report["left_out"]
    assert report["kept"] + left_out[BALANCED] == 2 * IMAGES + 1
    assert report["read"] == report["kept"] + sum(left_out.values())
    assert {reason: len(names) for reason, names in report["left_out_files"].items()} == left_out


def test_the_report_counts_what_was_written(ingested: Ingest) -> None:
    for split in SPLITS:
        rows = zip(
            *(ingested.values(name, split) for name in ("dataset", "patient_id", "label")),
            strict=True,
        )
        by_dataset = collections.defaultdict(list)
        for dataset, patient, label in rows:
            by_dataset[dataset.decode()].append((patient, CLASS_NAMES[label]))
        assert ingested.report["splits"][split] == {
            dataset: {
                "images": len(found),
                "patients": len({patient for patient, _ in found}),
                "classes": dict(collections.Counter(name for _, name in found)),
            }
            for dataset, found in by_dataset.items()
        }


def test_every_image_is_written_once_and_decodes(ingested: Ingest) -> None:
    names = [name for split in SPLITS for name in ingested.values("filename", split)]
    assert len(names) == len(set(names)) == ingested.report["kept"]
    for split in SPLITS:
        for one in ingested.splits[split]:
            values = one.features.feature
            encoded = values["image/encoded"].bytes_list.value[0]
            height, width = (values[f"image/{n}"].int64_list.value[0] for n in ("height", "width"))
            assert tf.io.decode_image(encoded, channels=1).shape == (height, width, 1)


def test_no_patient_is_in_two_splits(ingested: Ingest) -> None:
    patients = [set(ingested.values("patient_id", split)) for split in SPLITS]
    assert len(set.union(*patients)) == sum(map(len, patients))


def test_normals_are_balanced_in_each_split_of_that_dataset(ingested: Ingest) -> None:
    assert ingested.report["left_out"][BALANCED] > 0
    for split in SPLITS:
        classes = ingested.report["splits"][split]["nih"]["classes"]
        assert classes["normal"] == round(classes["pneumonia"] * NORMALS_PER_PNEUMONIA)


def test_a_split_without_a_class_stops_the_run_with_the_reasons(tmp_path: Path) -> None:
    root = write_pediatric(tmp_path, 12)
    for path in root.rglob("PNEUMONIA/*.jpeg"):
        path.write_bytes(b"no film")

    with pytest.raises(DatasetError) as error:
        ingest(tmp_path, tmp_path / "out", datasets=["pediatric"])

    message = str(error.value)
    assert "the train split has no pneumonia image" in message
    assert "8 file is not an image" in message
    assert not (tmp_path / "out/examples").exists()


def test_a_dataset_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="the nih dataset is in none of") as error:
        ingest(tmp_path, tmp_path / "out", datasets=["nih"])
    assert str(tmp_path / "nih") in str(error.value)
