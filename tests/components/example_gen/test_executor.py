"""What an ingest makes of two datasets with everything wrong in them that one meets."""

from __future__ import annotations

import collections
import io
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf
from PIL import ExifTags

from components.example_gen.record import CLASS_NAMES
from components.example_gen.settings import Quality
from components.example_gen.split import SPLITS, TEST_UNSAMPLED
from tests.components.example_gen.ingests import (
    IMAGES,
    IN_MEMORY,
    NORMALS_PER_PNEUMONIA,
    TWO_THREADS,
    Ingest,
    ingest,
)
from tests.components.example_gen.samples import (
    NIH_TABLE,
    encode,
    film,
    nih_row,
    write,
    write_nih,
    write_pediatric,
)

BALANCED = "normal left out to balance"

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


def test_without_that_there_is_no_such_feature(ingested: Ingest) -> None:
    for split in SPLITS:
        for one in ingested.splits[split]:
            assert "finding_labels" not in one.features.feature
    assert "<h2>Findings</h2>" not in ingested.page
