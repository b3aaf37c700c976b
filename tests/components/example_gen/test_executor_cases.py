"""Ingests out of the ordinary: stores, DICOM, other divisions and labels; and those that stop."""

from __future__ import annotations

import collections
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from pydicom import Dataset
from pydicom import Sequence as Items

from components.example_gen import executor
from components.example_gen.datasets import registry
from components.example_gen.datasets.listing import DatasetError
from components.example_gen.record import PATHOLOGIES
from components.example_gen.settings import Quality, Split
from components.example_gen.split import SPLITS, divide
from components.example_gen.synthetic.layouts import synthesize
from tests.components.example_gen import dicom_samples
from tests.components.example_gen.bucket import SCHEME, Bucket, remote
from tests.components.example_gen.dicom_samples import dicom, write_dicom
from tests.components.example_gen.ingests import (
    BY_PATIENT,
    IMAGES,
    TWO_THREADS,
    ingest,
)
from tests.components.example_gen.samples import (
    NIH_HEADER,
    NIH_TABLE,
    encode,
    film,
    nih_row,
    write,
    write_nih,
    write_pediatric,
)


def test_a_store_gives_what_a_folder_gives(tmp_path: Path) -> None:
    data = tmp_path / "data"
    normals = write_pediatric(data, 12) / "train/NORMAL"
    write(normals / "IM-7001-0001.jpeg", encode(film(0), "JPEG"))
    write(normals / "IM-7002-0001.jpeg", b"Not found. Please sign in.\n")
    write(normals / "IM-7003-0001.jpeg", encode(np.full((96, 96), 40, np.uint8), "JPEG"))
    write_nih(data, 12)
    write_dicom(data, 12)
    datasets = ("pediatric", "nih", "dicom")

    quality = Quality(min_side=1, min_polarity=-1)

    here = ingest(data, tmp_path / "here", datasets=datasets, quality=quality)
    Bucket.requests.clear()
    there = ingest(
        remote(data), tmp_path / "there", datasets=datasets, quality=quality, beam_args=TWO_THREADS
    )

    assert there.report["kept"] > 30
    assert set(there.report["left_out"]) >= {"file is not an image", "image is blank"}
    assert _without_scheme(there.report) == _without_scheme(here.report)
    assert _without_scheme(there.page) == _without_scheme(here.page)
    for split, found in here.splits.items():
        assert sorted(one.SerializeToString(deterministic=True) for one in found) == sorted(
            one.SerializeToString(deterministic=True) for one in there.splits[split]
        )
    # Tables, headers, thumbnails, and every image twice.
    assert Bucket.requests["open"] >= 2 * there.report["kept"]


def _without_scheme(found: Any) -> Any:
    return json.loads(json.dumps(found).replace(SCHEME, ""))


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


def test_without_balancing_there_is_no_unsampled_split(tmp_path: Path) -> None:
    write_pediatric(tmp_path, 16)
    found = ingest(tmp_path, tmp_path / "out", datasets=["pediatric"])
    assert set(found.splits) == set(SPLITS)
    assert found.report["unsampled"] == {}


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
