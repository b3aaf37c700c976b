"""Examples as the ingest makes them, for the tests of every node that reads them."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from components.example_gen import example, record
from components.example_gen.images import imaging


def xray_file(patient: str = "1", label: int = record.NORMAL, **values: Any) -> record.XrayFile:
    """What a listing says of an image, with any value replaced."""
    values = {
        "path": f"/films/{patient}.png",
        "dataset": "pediatric",
        "filename": f"{patient}.png",
        "findings": ("Pneumonia",) if label else ("No Finding",),
    } | values
    patient_id = f"{values['dataset']}:{patient}"
    return record.XrayFile(patient_id=patient_id, label=label, **values)


def image_facts(**values: Any) -> record.ImageFacts:
    """What the bytes of a sound film tell, with any value replaced."""
    sound: dict[str, Any] = {
        "sha256": "0" * 64,
        "format": "PNG",
        "height": 1024,
        "width": 1024,
        "file_bytes": 400_000,
        "mean": 0.5,
        "std": 0.2,
        "p01": 0.0,
        "p99": 0.9,
        "black_border": 0.1,
        "sharpness": 0.01,
        "colour": 0.0,
        "polarity": 0.5,
    }
    return record.ImageFacts(**(sound | values))


def make_example(
    data: bytes, patient: str = "1", label: int = record.NORMAL, **values: Any
) -> tf.train.Example:
    """The Example of an image file."""
    _, facts = imaging.read_image(data)
    file = xray_file(patient, label, **values)
    return example.to_example(file, facts, imaging.servable_bytes(data))
