"""The JPEG of radiography that nobody but GDCM decodes: lossless, JPEG-LS, and lossy in 12 bits.

A plug-in of pydicom (`Decoder.add_plugin`), in the place of its own for GDCM, which runs GDCM in
the process that asks. On damaged data GDCM ends that process, past every `except`, by a C++
exception that it does not handle. Here it has a process of its own, 50 ms for each film, which
may end as it likes. This file is also the program of that process.
"""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from typing import TYPE_CHECKING

import gdcm

if TYPE_CHECKING:  # the process of its own does without pydicom, whose import takes 300 ms
    from pydicom.pixels.decoders.base import DecodeRunner

# By transfer syntax; the name is pydicom's.
DECODER_DEPENDENCIES = {
    "1.2.840.10008.1.2.4.51": ("gdcm",),  # JPEG Extended
    "1.2.840.10008.1.2.4.57": ("gdcm",),  # JPEG Lossless
    "1.2.840.10008.1.2.4.70": ("gdcm",),  # JPEG Lossless, First-Order Prediction
    "1.2.840.10008.1.2.4.80": ("gdcm",),  # JPEG-LS Lossless
    "1.2.840.10008.1.2.4.81": ("gdcm",),  # JPEG-LS Near-Lossless
}
# The largest film takes a few seconds; damaged data could keep the decoder busy for ever.
_MOST_SECONDS = 120


@dataclasses.dataclass(frozen=True)
class _Frame:
    """What GDCM has to know of a grey frame beside its bytes."""

    syntax: str
    rows: int
    columns: int
    bits_allocated: int
    bits_stored: int
    signed: int


def is_available(uid: str) -> bool:
    """Whether a transfer syntax is decoded here; the name is pydicom's."""
    return uid in DECODER_DEPENDENCIES


def decode_frame(data: bytes, runner: DecodeRunner) -> bytes:
    """Decode a grey frame.

    Args:
      data: the compressed frame.
      runner: pydicom's, which tells what the header says of it.

    Returns:
      The pixels, of `runner.bits_allocated` bits each.

    Raises:
      ValueError: if it cannot be decoded.
    """
    frame = _Frame(
        syntax=str(runner.transfer_syntax),
        rows=runner.rows,
        columns=runner.columns,
        bits_allocated=runner.bits_allocated,
        # Only JPEG-LS needs its own precision: that of the other kinds GDCM finds by itself.
        bits_stored=runner.get_option("jls_precision", runner.bits_stored),
        signed=runner.pixel_representation,
    )
    command = [sys.executable, "-I", __file__, json.dumps(dataclasses.astuple(frame))]
    try:
        ended = subprocess.run(
            command,
            input=data,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=True,
            timeout=_MOST_SECONDS,
        )
    except subprocess.SubprocessError as error:
        raise ValueError("GDCM cannot decode the frame") from error
    return ended.stdout


def _decode(data: bytes, frame: _Frame) -> bytes:
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(data)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())

    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((frame.columns, frame.rows, 1))
    image.SetDataElement(element)
    grey = gdcm.PhotometricInterpretation(gdcm.PhotometricInterpretation.MONOCHROME2)
    image.SetPhotometricInterpretation(grey)
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(frame.syntax)))
    high_bit = frame.bits_stored - 1
    image.SetPixelFormat(
        gdcm.PixelFormat(1, frame.bits_allocated, frame.bits_stored, high_bit, frame.signed)
    )
    # GDCM gives its bytes as text, or None when the data is damaged.
    return image.GetBuffer().encode("utf-8", "surrogateescape")


if __name__ == "__main__":
    pixels = _decode(sys.stdin.buffer.read(), _Frame(*json.loads(sys.argv[1])))
    sys.stdout.buffer.write(pixels)
