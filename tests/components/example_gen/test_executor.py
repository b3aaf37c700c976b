"""The ingest as it runs in the pipeline: real folders in, gzipped TFRecords and a report out."""

import collections
import dataclasses
import io
import json
import os
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf
from PIL import ExifTags
from pydicom import Dataset
from pydicom import Sequence as Items
from tfx.dsl.components.base import base_beam_executor
from tfx.types import artifact_utils, standard_artifacts

from components.example_gen import executor
from components.example_gen.artifacts import IngestReport
from components.example_gen.component import XrayExampleGen
from components.example_gen.datasets import registry
from components.example_gen.datasets.listing import DatasetError
from components.example_gen.datasets.source import Source
from components.example_gen.record import CLASS_NAMES, PATHOLOGIES, Labels
from components.example_gen.settings import Quality, Split
from components.example_gen.split import SPLITS, TEST_UNSAMPLED, divide
from components.example_gen.synthetic.layouts import synthesize
from tests.components.example_gen import dicom_samples
from tests.components.example_gen.dicom_samples import dicom, write_dicom
from tests.components.example_gen.samples import (
    FRACTIONS,
    NIH_HEADER,
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
BY_PATIENT = Split.model_validate({"fractions": FRACTIONS})
QUARANTINE = Quality()
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
    "image is blank": 1,
    "lateral view": 1,
    "colour photograph, not a film": 1,
    "image of several frames": 1,
    "image is too large to be a film": 1,
}
SIDEWAYS = PIL.Image.Exif()
SIDEWAYS[ExifTags.Base.Orientation] = 6
# Sound films that the served graph cannot decode as they are.
REWRITTEN: dict[str, dict[str, Any]] = {
    "palette.png": {"mode": "P"},
    "transparent.png": {"mode": "RGBA"},
    "one_bit_more.png": {"mode": "LA"},
    "sixteen_bits.png": {},
    "for_print.jpg": {"image_format": "JPEG", "mode": "CMYK"},
    "turned.jpg": {"image_format": "JPEG", "exif": SIDEWAYS},
}
FATES = {"quarantined": 10, "duplicate": 2, "not on disk": 1, "out of scope": 3, "bad row": 0}


@dataclasses.dataclass(frozen=True)
class Ingest:
    """What a run wrote."""

    splits: Mapping[str, Sequence[tf.train.Example]]
    report: Mapping[str, Any]
    page: str

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
    split: Split = BY_PATIENT,
    quality: Quality = QUARANTINE,
    labels: Labels = "pneumonia",
) -> Ingest:
    """Run the executor as TFX does, with the settings of the component itself."""
    ratio = {"nih": NORMALS_PER_PNEUMONIA} if labels == "pneumonia" else {}
    node = XrayExampleGen(
        sources={
            name: Source(
                folder=str(registry.find_root(name, data_root)),
                normals_per_pneumonia=ratio.get(name),
            )
            for name in datasets
        },
        split=split,
        quality=quality,
        fingerprint="",
        code="",
        labels=labels,
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
    names = artifact_utils.decode_split_names(examples.split_names)
    return Ingest(
        {name: read_split(examples, name) for name in names},
        json.loads((Path(report.uri) / "ingest.json").read_text()),
        (Path(report.uri) / "ingest.html").read_text(),
    )


def read_split(examples: standard_artifacts.Examples, split: str) -> list[tf.train.Example]:
    shards = sorted(Path(artifact_utils.get_split_uri([examples], split)).iterdir())
    assert all(shard.suffix == ".gz" for shard in shards)
    records = tf.data.TFRecordDataset([str(shard) for shard in shards], compression_type="GZIP")
    return [tf.train.Example.FromString(record) for record in records.as_numpy_iterator()]


def png_header(width: int, height: int) -> bytes:
    """A PNG that promises more pixels than it has."""
    chunks = [
        b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0),
        b"IDAT" + zlib.compress(b"\0" * 100),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
        for chunk in chunks
    )


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
    for number, (name, options) in enumerate(REWRITTEN.items()):
        pixels = film(7100 + number)
        if name == "sixteen_bits.png":
            pixels = pixels.astype(np.uint16) << 8
        write(nih / "images" / name, encode(pixels, **options))
    rows = [
        *(
            nih_row(name, patient=7100 + number, findings="Pneumonia")
            for number, name in enumerate(REWRITTEN)
        ),
        nih_row("without_image.png", patient=7001),
        nih_row("cut_short.png", patient=7002),
        nih_row("other.png", patient=7003, findings="Mass"),
        nih_row("duplicate.png", patient=7004),
        nih_row("blank.png", patient=7006, findings="Pneumonia"),
        nih_row("photograph.png", patient=7007, findings="Pneumonia"),
        nih_row("animated.png", patient=7008),
        nih_row("huge.png", patient=7009),
        nih_row("lateral.png", patient=7010, findings="Pneumonia").replace(",PA,", ",LL,"),
        nih_row("old.png", patient=7011, age="412"),
    ]
    frames = [PIL.Image.fromarray(film(number)) for number in (7008, 7009)]
    frames[0].save(nih / "images/animated.png", save_all=True, append_images=frames[1:])
    rng = np.random.default_rng(0)
    photograph = rng.integers(0, 256, (96, 96, 3), np.uint8)
    write(nih / "images/blank.png", encode(np.full((96, 96), 40, np.uint8)))
    write(nih / "images/photograph.png", encode(photograph))
    write(nih / "images/huge.png", png_header(60_000, 60_000))
    write(nih / "images/lateral.png", encode(film(7010)))
    write(nih / "images/old.png", encode(film(7011)))
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
    assert report["kept"] + left_out[BALANCED] == 2 * IMAGES + len(REWRITTEN) + 1
    assert report["read"] == report["kept"] + sum(left_out.values())
    assert {reason: len(names) for reason, names in report["left_out_files"].items()} == left_out
    assert report["fates"] == FATES | {"kept": report["kept"], "surplus": left_out[BALANCED]}
    assert report["read"] == sum(report["fates"].values())
    for one in report["datasets"].values():
        assert one["read"] == sum(one["fates"].values())
    assert report["ignored_values"] == {"age_years": 1}


def test_the_page_shows_what_was_left_out(ingested: Ingest) -> None:
    for reason in LEFT_OUT:
        assert reason[0].upper() + reason[1:] in ingested.page
    # The lateral, blank and coloured ones can be shown, and the two exact duplicates with theirs.
    assert ingested.page.count("data:image/jpeg;base64,") == 3 + 2 * 2
    assert "lateral.png" in ingested.page


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
                "classes": {
                    wanted: sum(name == wanted for _, name in found) for wanted in CLASS_NAMES
                },
                "findings": {},
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


def test_what_cannot_be_served_is_rewritten_as_an_upright_grey_png(ingested: Ingest) -> None:
    found = {
        one.features.feature["filename"].bytes_list.value[0].decode(): one.features.feature
        for split in SPLITS
        for one in ingested.splits[split]
    }
    for name in REWRITTEN:
        image = PIL.Image.open(io.BytesIO(found[name]["image/encoded"].bytes_list.value[0]))
        assert (image.format, image.mode) == ("PNG", "L")
        assert image.size == ((72, 96) if name == "turned.jpg" else (96, 72))


def test_dicom_films_among_bad_ones(tmp_path: Path) -> None:
    root = write_dicom(tmp_path, 0)
    sound = {
        f"{number:02d}.dcm": dicom(stored(number), 12, PatientID=f"P{number}")
        for number in range(24)
    }
    sound["monochrome1.dcm"] = dicom(
        4095 - stored(30), 12, PatientID="P30", PhotometricInterpretation="MONOCHROME1"
    )
    film_of_two = stored(31)
    hidden = Dataset()
    hidden.EncryptedContent = bytes(16)
    faulty = {
        "frames.dcm": dicom(film_of_two, 12, NumberOfFrames=2, PixelData=film_of_two.tobytes() * 2),
        "hidden.dcm": dicom(stored(33), 12, EncryptedAttributesSequence=Items([hidden])),
        "short.dcm": dicom(stored(34), 12)[:-400],
        "knee.dcm": dicom(stored(35), 12, BodyPartExamined="KNEE"),
        "slice.dcm": dicom(stored(36), 12, Modality="CT"),
        "huge.dcm": dicom(stored(37), 12, Rows=60_000, Columns=60_000),
        "none.dcm": dicom(stored(38), 12, PixelData=None),
    }
    films = sound | faulty
    for name, data in films.items():
        write(root / name, data)
    rows = [f"{name},{('No Finding', 'Pneumonia')[i % 2]}" for i, name in enumerate(films)]
    write(root / "labels.csv", "\n".join(["image,findings", *rows]).encode())

    found = ingest(tmp_path, tmp_path / "out", datasets=["dicom"])

    assert found.report["left_out"] == {
        "DICOM file has several frames": 1,
        "DICOM file is encrypted": 1,
        "image data is damaged or cut short": 1,
        "another part of the body": 1,
        "modality is not that of a plain film": 1,
        "image is too large to be a film": 1,
        "DICOM file has no pixel data": 1,
    }
    assert found.report["kept"] == len(sound)
    for split in SPLITS:
        assert set(found.values("image/format", split)) == {b"DICOM"}
        names = found.values("filename", split)
        assert not {name.encode() for name in films} & set(names)


def stored(seed: int) -> Any:
    """A film of 12 bits that is large enough."""
    return dicom_samples.film(seed, 12, 72, 96)


def test_no_patient_is_in_two_splits(ingested: Ingest) -> None:
    patients = [set(ingested.values("patient_id", split)) for split in SPLITS]
    assert len(set.union(*patients)) == sum(map(len, patients))


def test_normals_are_balanced_in_each_split_of_that_dataset(ingested: Ingest) -> None:
    assert ingested.report["left_out"][BALANCED] > 0
    for split in SPLITS:
        classes = ingested.report["splits"][split]["nih"]["classes"]
        assert classes["normal"] == round(classes["pneumonia"] * NORMALS_PER_PNEUMONIA)


def test_the_unsampled_test_split_has_the_normals_that_balancing_left_out(
    ingested: Ingest,
) -> None:
    unsampled = ingested.values("filename", TEST_UNSAMPLED)
    balanced = [
        name
        for name, dataset in zip(
            ingested.values("filename", "test"), ingested.values("dataset", "test"), strict=True
        )
        if dataset == b"nih"
    ]
    assert set(balanced) < set(unsampled)
    assert len(unsampled) == len(set(unsampled))
    counts = ingested.report["unsampled"][TEST_UNSAMPLED]
    assert set(counts) == {"nih"}
    assert counts["nih"]["images"] == len(unsampled)
    pneumonia = ingested.report["splits"]["test"]["nih"]["classes"]["pneumonia"]
    assert counts["nih"]["classes"]["pneumonia"] == pneumonia
    others = {n for split in ("train", "val") for n in ingested.values("patient_id", split)}
    assert others.isdisjoint(ingested.values("patient_id", TEST_UNSAMPLED))


def test_without_balancing_there_is_no_unsampled_split(tmp_path: Path) -> None:
    write_pediatric(tmp_path, 16)
    found = ingest(tmp_path, tmp_path / "out", datasets=["pediatric"])
    assert set(found.splits) == set(SPLITS)
    assert found.report["unsampled"] == {}


def test_suspects_are_kept_and_named_where_quality_is_only_reported(
    data_root: Path, tmp_path: Path
) -> None:
    quality = Quality.model_validate("report_only")
    found = ingest(data_root, tmp_path, quality=quality)
    suspects = {"image is blank": 1, "lateral view": 1, "colour photograph, not a film": 1}
    assert found.report["suspects"] == suspects
    assert found.report["fates"]["quarantined"] == FATES["quarantined"] - len(suspects)
    assert set(found.report["left_out"]).isdisjoint(suspects)
    assert found.report["suspect_files"]["lateral view"] == [
        str(data_root / "nih/images/lateral.png")
    ]


def test_as_published_keeps_folders_and_duplicates_and_counts_what_leaks(tmp_path: Path) -> None:
    root = write_pediatric(tmp_path, 24)
    names = {
        split: {path.name.encode() for path in (root / split).rglob("*.jpeg")} for split in SPLITS
    }
    train = sorted((root / "train/PNEUMONIA").iterdir())
    # The same film in test, and another film of a patient of train.
    write(root / "test/PNEUMONIA/person901_virus_901.jpeg", train[0].read_bytes())
    patient = train[1].name.rpartition("_")[0]
    write(root / f"test/PNEUMONIA/{patient}_999.jpeg", encode(film(999), "JPEG"))

    found = ingest(
        tmp_path, tmp_path / "out", datasets=["pediatric"],
        split=Split.model_validate("as_published"),
    )  # fmt: skip

    added = {b"person901_virus_901.jpeg", f"{patient}_999.jpeg".encode()}
    assert {split: set(found.values("filename", split)) for split in SPLITS} == names | {
        "test": names["test"] | added
    }
    assert found.report["leakage"] == {"patients": 1, "exact_duplicates": 1, "near_duplicates": 0}


def test_the_same_film_under_two_patients_is_never_in_two_splits(tmp_path: Path) -> None:
    """Other bytes, another size, another name: only its look tells."""
    root = synthesize("pediatric", images=50, out=tmp_path, seed=1).root
    originals = sorted((root / "train/NORMAL").iterdir())
    for number, path in enumerate(originals):
        film = PIL.Image.open(path)
        smaller = np.asarray(film.resize((film.width * 2 // 3, film.height * 2 // 3)))
        copy = root / f"train/NORMAL/IM-{8000 + number}-0001.jpeg"
        write(copy, encode(smaller, "JPEG", quality=80))

    joined = ingest(tmp_path, tmp_path / "joined", datasets=["pediatric"])
    apart = ingest(
        tmp_path, tmp_path / "apart", datasets=["pediatric"],
        split=BY_PATIENT.model_copy(update={"near_duplicates": "report"}),
    )  # fmt: skip

    near = joined.report["duplicates"]["near"]
    assert near["groups"] == near["across_patients"] == len(originals) > 5
    assert joined.report["leakage"]["near_duplicates"] == 0
    assert apart.report["leakage"]["near_duplicates"] > 0
    assert "correlation" in joined.page


def test_a_split_without_an_image_stops_the_run_with_the_reasons(tmp_path: Path) -> None:
    root = write_pediatric(tmp_path, 12)
    for path in root.rglob("PNEUMONIA/*.jpeg"):
        path.write_bytes(b"no film")

    with pytest.raises(DatasetError) as error:
        ingest(tmp_path, tmp_path / "out", datasets=["pediatric"])

    message = str(error.value)
    assert "split has no image" in message
    assert "8 file is not an image" in message
    assert not (tmp_path / "out/examples").exists()


def test_an_image_in_two_datasets_is_refused(tmp_path: Path) -> None:
    root = write_nih(tmp_path, 6)
    write_pediatric(root / "images", 6)
    images = [str(path) for path in sorted((root / "images").rglob("*.jpeg"))]
    rows = [f"{path},No Finding,{number}" for number, path in enumerate(images)]
    table = "\n".join(["path,findings,patient", *rows])
    (root / NIH_TABLE).unlink()
    write(root / "labels.csv", table.encode())
    write(root / "images/nih/labels.csv", table.encode())
    with pytest.raises(DatasetError, match="in the pediatric and in the nih dataset"):
        executor.require_one_owner(
            [
                registry.list_files("pediatric", root / "images"),
                registry.list_files("nih", root),
            ]
        )


def test_the_same_film_under_both_labels_is_left_out(tmp_path: Path) -> None:
    root = synthesize("pediatric", images=50, out=tmp_path, seed=1).root
    film = sorted((root / "train/NORMAL").iterdir())[0]
    pixels = np.asarray(PIL.Image.open(film))
    copy = root / "train/PNEUMONIA/person9001_virus_1.jpeg"
    write(copy, encode(pixels, "JPEG", quality=70))

    found = ingest(tmp_path, tmp_path / "out", datasets=["pediatric"])

    assert found.report["left_out_files"]["same film under different labels"] == sorted(
        [str(film), str(copy)]
    )
    assert found.report["duplicates"]["near"]["across_labels"] == 1


@pytest.mark.parametrize("change", [Path.unlink, lambda path: path.write_bytes(b"other")])
def test_a_film_that_changes_between_the_passes_stops_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], object]
) -> None:
    root = write_pediatric(tmp_path, 16)
    film = sorted(root.rglob("*.jpeg"))[0]

    def divide_late(*arguments: Any) -> Any:
        change(film)
        return divide(*arguments)

    monkeypatch.setattr(executor, "divide", divide_late)
    with pytest.raises(DatasetError, match=f"{film.name}.* run again"):
        ingest(tmp_path, tmp_path / "out", datasets=["pediatric"])


def test_a_dataset_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="the nih dataset is in none of") as error:
        ingest(tmp_path, tmp_path / "out", datasets=["nih"])
    assert str(tmp_path / "nih") in str(error.value)


def test_every_finding_is_a_label_where_that_is_asked_for(tmp_path: Path) -> None:
    kinds = ("No Finding", "Infiltration|Pneumonia", "Hernia", "Effusion|Mass", "Broken rib")
    root = tmp_path / "nih"
    rows = []
    for number in range(IMAGES):
        name = f"{number:08d}_000.png"
        rows.append(nih_row(name, findings=kinds[number % len(kinds)], patient=number))
        write(root / "images" / name, encode(film(number)))
    write(root / NIH_TABLE, "\n".join([NIH_HEADER, *rows]).encode())

    found = ingest(tmp_path, tmp_path / "out", datasets=["nih"], labels="findings")

    totals = collections.Counter[str]()
    for split in SPLITS:
        counts = collections.Counter[str]()
        for one in found.splits[split]:
            values = one.features.feature
            names = {name.decode() for name in values["findings"].bytes_list.value}
            labels = values["finding_labels"].int64_list.value
            assert labels == [int(name in names) for name in PATHOLOGIES]
            assert values["label"].int64_list.value == [int("Pneumonia" in names)]
            counts.update(names)
        (of_split,) = found.report["splits"][split].values()
        assert of_split["findings"] == {name: counts[name] for name in PATHOLOGIES}
        assert of_split["classes"]["no finding"] == counts["No Finding"]
        assert sum(of_split["classes"].values()) == len(found.splits[split]) == of_split["images"]
        totals += counts
    each = IMAGES // len(kinds)
    assert totals == dict.fromkeys(
        ("No Finding", "Infiltration", "Pneumonia", "Hernia", "Effusion", "Mass"), each
    )
    assert found.report["left_out"] == {"finding that is none of the 14": each}
    assert "<h2>Findings</h2>" in found.page


def test_without_that_there_is_no_such_feature(ingested: Ingest) -> None:
    for split in SPLITS:
        for one in ingested.splits[split]:
            assert "finding_labels" not in one.features.feature
    assert "<h2>Findings</h2>" not in ingested.page
