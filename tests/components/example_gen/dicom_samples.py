"""Small real DICOM files of every kind."""

import io
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gdcm
import numpy as np
import numpy.typing as npt
import PIL.Image
import pydicom
from pydicom import uid
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels import get_encoder
from pydicom.sequence import Sequence as Items

from tests.components.example_gen import samples

Stored = npt.NDArray[Any]

HEADER: Mapping[str, Any] = {
    "Modality": "DX",
    "PatientName": "Doe^Jane",
    "PatientID": "123-45",
    "PatientBirthDate": "19510203",
    "PatientSex": "F",
    "PatientAge": "060Y",
    "BodyPartExamined": "CHEST",
    "ViewPosition": "PA",
}


def film(seed: int = 0, bits: int = 12, height: int = 60, width: int = 80) -> Stored:
    """Stored values of a film, of so many bits."""
    grey = samples.film(seed, height, width)
    if bits == 8:
        return grey
    noise = np.random.default_rng(seed).integers(0, 2 ** (bits - 8), grey.shape)
    return (grey.astype(np.uint16) << (bits - 8)) + noise.astype(np.uint16)


def dataset(stored: Stored, bits: int | None = None, **header: Any) -> FileDataset:
    """An uncompressed film; a header value of None leaves that out."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = uid.DigitalXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = uid.generate_uid(entropy_srcs=[stored.tobytes().hex()])
    made = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    made.SOPClassUID = meta.MediaStorageSOPClassUID
    made.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    allocated = stored.dtype.itemsize * 8
    made.BitsAllocated = allocated
    made.BitsStored = bits or allocated
    made.HighBit = made.BitsStored - 1
    made.PixelRepresentation = int(stored.dtype.kind == "i")
    made.Rows, made.Columns = stored.shape[:2]
    made.SamplesPerPixel = 1
    made.PhotometricInterpretation = "MONOCHROME2"
    made.add_new("PixelData", "OB" if allocated == 8 else "OW", stored.tobytes())
    for name, value in {**HEADER, **header}.items():
        if value is None:
            made.pop(name, None)
        else:
            setattr(made, name, value)
    return made


def to_bytes(made: FileDataset, syntax: str | None = None) -> bytes:
    """The bytes of a file, as an uncompressed (or deflated) transfer syntax."""
    stream = io.BytesIO()
    made.file_meta.TransferSyntaxUID = uid.UID(syntax or made.file_meta.TransferSyntaxUID)
    made.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def dicom(stored: Stored, bits: int | None = None, **header: Any) -> bytes:
    """The bytes of an uncompressed film."""
    return to_bytes(dataset(stored, bits, **header))


def lookup_table(
    entries: Sequence[int], first: int = 0, bits: int = 16, packed: bool = False
) -> Items:
    """A modality or VOI LUT sequence; `packed` puts two entries of 8 bits in a word."""
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if first < 0 else "US", [len(entries), first, bits])
    kind = np.uint8 if packed else np.uint16
    item.add_new("LUTData", "OW", np.asarray(entries, kind).tobytes())
    return Items([item])


def write_dicom(data_root: Path, images: int) -> Path:
    """A set with a table below a data root, two films of each patient; its own folder."""
    root = data_root / "dicom"
    rows = ["image,findings"]
    for number in range(images):
        name = f"study{number // 2}/IM{number:04d}.dcm"
        film_bytes = dicom(film(2000 + number), 12, PatientID=f"P{number // 2}")
        samples.write(root / name, film_bytes)
        rows.append(f"{name},{('No Finding', 'Pneumonia')[number % 2]}")
    samples.write(root / "labels.csv", "".join(f"{row}\n" for row in rows).encode())
    return root


# --- Compressed ------------------------------------------------------------------------------


def with_frame(made: FileDataset, frame: bytes, syntax: str) -> bytes:
    """The bytes of a file that holds a compressed frame."""
    made.file_meta.TransferSyntaxUID = uid.UID(syntax)
    made.add_new("PixelData", "OB", encapsulate([frame]))
    made["PixelData"].is_undefined_length = True
    return to_bytes(made)


def jpeg_baseline(grey: Stored, quality: int = 95, **header: Any) -> bytes:
    """A file in JPEG Baseline."""
    frame = samples.encode(grey, "JPEG", quality=quality)
    return with_frame(dataset(grey, **header), frame, uid.JPEGBaseline8Bit)


def jpeg_2000(stored: Stored, bits: int | None = None, **header: Any) -> bytes:
    """A file in lossless JPEG 2000."""
    stream = io.BytesIO()
    PIL.Image.fromarray(stored).save(stream, "JPEG2000", no_jp2=True)
    return with_frame(dataset(stored, bits, **header), stream.getvalue(), uid.JPEG2000Lossless)


def run_length(stored: Stored, bits: int | None = None, **header: Any) -> bytes:
    """A file in RLE Lossless."""
    made = dataset(stored, bits, **header)
    frame = get_encoder(uid.RLELossless).encode(made, index=0, encoding_plugin="pydicom")
    return with_frame(made, frame, uid.RLELossless)


def by_gdcm(stored: Stored, syntax: str, bits: int | None = None, **header: Any) -> bytes:
    """A file in a transfer syntax that GDCM encodes, such as JPEG Lossless."""
    # By way of files: the frames of an image in memory GDCM releases once too often, and then it
    # ends the process.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "film.dcm")
        path.write_bytes(dicom(stored, bits, **header))
        reader = gdcm.ImageReader()
        reader.SetFileName(str(path))
        reader.Read()
        change = gdcm.ImageChangeTransferSyntax()
        change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(str(syntax))))
        change.SetInput(reader.GetImage())
        if not change.Change():
            raise ValueError(f"GDCM does not encode {syntax}")
        writer = gdcm.ImageWriter()
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        writer.SetFileName(str(path))
        writer.Write()
        return path.read_bytes()


def frame_of(data: bytes) -> bytes:
    """The compressed frame of a file."""
    made = pydicom.dcmread(io.BytesIO(data))
    return pydicom.encaps.get_frame(made.PixelData, 0, number_of_frames=1)


def with_new_frame(data: bytes, frame: bytes) -> bytes:
    """A file with another compressed frame."""
    made = pydicom.dcmread(io.BytesIO(data))
    made.PixelData = encapsulate([frame])
    return to_bytes(made)
