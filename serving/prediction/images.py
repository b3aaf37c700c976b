"""Which images predictions are made from, and how each becomes bytes that the model decodes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from serving.prediction.answers import Failure
from serving.prediction.errors import BadImageError, ImagesNotFoundError
from serving.raster_image import NoImageError, RasterError, encode_grey, servable_bytes

# A file's bytes, a file, or grey levels as uint8 [height, width], or RGB [height, width, 3].
Image: TypeAlias = bytes | str | os.PathLike[str] | NDArray[np.uint8]

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".dcm", ".dicom"})
_MAGIC_BYTES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")
_DICOM = (128, b"DICM")


def find_images(paths: Sequence[Path]) -> list[Path]:
    """Lists the image files that `paths` stand for, each once.

    Args:
      paths: files, taken as given whatever their suffix, and folders, searched recursively
        for `IMAGE_SUFFIXES` in either case.

    Returns:
      The files, in the order of `paths` and sorted within each folder. Their content is not
      looked at: `read_image` does that, so that one bad file stops nothing but itself.

    Raises:
      ImagesNotFoundError: a path does not exist, or a folder holds no image.
    """
    files: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            found = sorted(file for file in path.rglob("*") if _is_image_of(path, file))
            if not found:
                suffixes = ", ".join(sorted(IMAGE_SUFFIXES))
                raise ImagesNotFoundError(f"{path}: no image in this folder ({suffixes})")
            files.update(dict.fromkeys(found))
        elif path.exists():
            files[path] = None
        else:
            raise ImagesNotFoundError(f"{path}: no such file or folder")
    return list(files)


def read_image(path: Path) -> bytes:
    """Reads an image file, deciding by its content whether it can be one.

    Returns:
      The bytes of a JPEG or PNG that a model reads as it did in training. Others (turned by EXIF,
      of 16 bits, with a palette or transparency, CMYK) are rewritten as an upright 8-bit grey PNG,
      and so is a DICOM film, the way a viewer shows it.

    Raises:
      BadImageError: the file cannot be read, or is no PNG, JPEG or DICOM; says what to do.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadImageError(Failure(str(path), f"cannot be read: {error.strerror}")) from error
    if not content.startswith(_MAGIC_BYTES) and not _is_dicom(content):
        reason = (
            f"not a PNG, JPEG or DICOM image but {_kind(content)}; "
            "convert it to 8-bit PNG or JPEG, or leave it out"
        )
        raise BadImageError(Failure(str(path), reason))
    return _servable(content, str(path))


def encode_image(image: Image, source: str) -> bytes:
    """The bytes of one image as the model takes them.

    Args:
      image: a file's bytes, which become what `read_image` makes of a file, or are sent as they
        are if they are of another format; a file; or an array, which is encoded without loss.
      source: the image's name in errors.

    Raises:
      BadImageError: a file cannot be read or is no image, or the array is not one of uint8.
    """
    if isinstance(image, bytes):
        return _servable(image, source)
    if isinstance(image, np.ndarray):
        return _encoded_array(image, source)
    return read_image(Path(image))


def _servable(content: bytes, source: str) -> bytes:
    if _is_dicom(content):
        return _dicom_as_png(content, source)
    if not content.startswith(_MAGIC_BYTES):
        return content
    try:
        return servable_bytes(content)
    except NoImageError:
        return content  # the model tells best what is wrong with it
    except RasterError as error:
        raise BadImageError(Failure(source, str(error))) from error


def _dicom_as_png(content: bytes, source: str) -> bytes:
    # Here, not above: pydicom takes a third of a second, which few images need.
    from serving import dicom_image

    try:
        return encode_grey(dicom_image.read_grey(content))
    except dicom_image.DicomError as error:
        # Without its causes, whose words may hold values of the header.
        raise BadImageError(Failure(source, str(error))) from None


def _encoded_array(image: NDArray[np.uint8], source: str) -> bytes:
    grey = image[..., 0] if image.ndim == 3 and image.shape[2] == 1 else image
    fits = grey.ndim == 2 or (grey.ndim == 3 and grey.shape[2] == 3)
    if grey.dtype != np.uint8 or not fits or not grey.size:
        reason = (
            f"an array of {image.dtype} {list(image.shape)}; uint8 [height, width] or, as RGB, "
            "[height, width, 3] was expected"
        )
        raise BadImageError(Failure(source, reason))
    return _png(grey if grey.ndim == 2 else grey[..., ::-1])  # OpenCV's order is BGR


def _png(pixels: NDArray[np.uint8]) -> bytes:
    return cv2.imencode(".png", np.ascontiguousarray(pixels))[1].tobytes()


def _is_dicom(content: bytes) -> bool:
    offset, magic = _DICOM
    return content.startswith(magic, offset)


# What people hand in instead of a PNG or JPEG, by first bytes at an offset.
_OTHER_KINDS = (
    (0, b"GIF8", "a GIF"),
    (0, b"BM", "a BMP"),
    (0, b"II*\x00", "a TIFF"),
    (0, b"MM\x00*", "a TIFF"),
    (8, b"WEBP", "a WebP"),
    (0, b"%PDF", "a PDF"),
)


def _kind(content: bytes) -> str:
    if not content:
        return "an empty file"
    for offset, magic, kind in _OTHER_KINDS:
        if content.startswith(magic, offset):
            return kind
    try:
        content[:1024].decode("ascii")
    except UnicodeDecodeError:
        return "data of an unknown kind"
    return "text"


def _is_image_of(folder: Path, file: Path) -> bool:
    # Archives packed on a Mac, the public pediatric set's among them, carry a "._x.jpeg"
    # of metadata for every x.jpeg.
    hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
    return not hidden and file.suffix.lower() in IMAGE_SUFFIXES and file.is_file()
