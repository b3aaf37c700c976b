"""Small real films and datasets, for the tests of every node that reads them."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL.Image
from hypothesis import strategies as st

from components.example_gen import record
from tests import examples

Pixels = npt.NDArray[np.uint8]

NIH_HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]"
)
BOX_HEADER = "Image Index,Finding Label,Bbox [x,y,w,h],,,"
NIH_TABLE = "Data_Entry_2017_v2020.csv"
BOX_TABLE = "BBox_List_2017.csv"


def film(seed: int, height: int = 72, width: int = 96) -> Pixels:
    """Grey levels like a film's: bright in the middle, some noise, and no two alike."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    levels = 40 + 150 * np.exp(-(x**2 + y**2)) + rng.normal(0, 6, (height, width))
    return np.clip(levels, 0, 255).astype(np.uint8)


def encode(
    pixels: npt.NDArray[Any], image_format: str = "PNG", mode: str | None = None, **options: Any
) -> bytes:
    """The bytes of an image file."""
    image = PIL.Image.fromarray(pixels)
    buffer = io.BytesIO()
    (image.convert(mode) if mode else image).save(buffer, image_format, **options)
    return buffer.getvalue()


def write(path: Path, data: bytes) -> Path:
    """Put a file there, its folders too; a file that is already so stays untouched."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_file() or path.read_bytes() != data:
        path.write_bytes(data)
    return path


def to_example(
    pixels: Pixels, patient: str = "1", label: int = record.NORMAL, **values: Any
) -> Any:
    """A `tf.train.Example` as the ingest makes it of a film."""
    return examples.make_example(encode(pixels), patient, label, **values)


# --- Datasets on disk ------------------------------------------------------------------------


def pediatric_names(images: int) -> list[str]:
    """Paths below the set's root: by turns normal, bacterial and viral, of distinct patients."""
    kinds = (
        "NORMAL/IM-{0:04d}-0001.jpeg",
        "PNEUMONIA/person{0}_bacteria_{0}.jpeg",
        "PNEUMONIA/person{0}_virus_{0}.jpeg",
    )
    splits = ("train", "train", "val", "test")
    return [
        f"{splits[number % len(splits)]}/{kinds[number % len(kinds)].format(number)}"
        for number in range(images)
    ]


def write_pediatric(data_root: Path, images: int) -> Path:
    """A pediatric set below a data root; returns the set's own folder."""
    root = data_root / "chest_xray"
    for number, name in enumerate(pediatric_names(images)):
        write(root / name, encode(film(number), "JPEG"))
    return root


def nih_row(name: str, **values: Any) -> str:
    """A row of the NIH table."""
    fields = {"findings": "No Finding", "visit": 0, "patient": 1, "age": "57", "sex": "F"} | values
    return ",".join(map(str, [name, *fields.values(), "PA", 2682, 2749, 0.143, 0.143]))


def write_nih_table(
    root: Path, rows: Sequence[str], header: str = NIH_HEADER, name: str = NIH_TABLE
) -> Path:
    """The NIH table."""
    return write(root / name, "".join(f"{line}\n" for line in (header, *rows)).encode())


def write_nih(data_root: Path, images: int) -> Path:
    """An NIH set below a data root; returns the set's own folder."""
    root = data_root / "nih"
    rows = []
    for number in range(images):
        name = f"{number:08d}_000.png"
        findings = ("No Finding", "Infiltration|Pneumonia")[number % 2]
        rows.append(nih_row(name, findings=findings, patient=number))
        write(root / "images" / name, encode(film(1000 + number)))
    write_nih_table(root, rows)
    boxes = [BOX_HEADER, "00000001_000.png,Pneumonia,256,512,128,64"]
    write(root / BOX_TABLE, "".join(f"{line}\n" for line in boxes).encode())
    return root


FRACTIONS = {"train": 0.5, "val": 0.25, "test": 0.25}

patient_numbers = st.integers(min_value=0, max_value=99_999)
