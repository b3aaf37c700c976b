"""The Example contract: one record for every dataset.

A dataset module lists `XrayFile`s (what is known of an image without opening it), `imaging`
measures `ImageFacts` (what its bytes tell), and `example.to_example` joins both. A value that a
dataset does not have is an absent feature, never an invented one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from typing import Literal

# What an Example is labelled with: with pneumonia alone, or with every one of the pathologies.
Labels = Literal["pneumonia", "findings"]

NORMAL = 0
PNEUMONIA = 1
CLASS_NAMES = ("normal", "pneumonia")

NO_FINDING = "No Finding"
# The vocabulary of ChestX-ray14, which every dataset's findings are put in.
FINDINGS = (
    NO_FINDING,
    "Atelectasis",
    "Cardiomegaly",
    "Consolidation",
    "Edema",
    "Effusion",
    "Emphysema",
    "Fibrosis",
    "Hernia",
    "Infiltration",
    "Mass",
    "Nodule",
    "Pleural_Thickening",
    "Pneumonia",
    "Pneumothorax",
)
# What a multi-label model tells, in the order of its outputs.
PATHOLOGIES = FINDINGS[1:]
# What images are counted by where there are fourteen labels.
ANY_FINDING_NAMES = ("no finding", "any finding")

IMAGE = "image/encoded"
SHA256 = "image/sha256"
DATASET = "dataset"
FILENAME = "filename"
PATIENT_ID = "patient_id"
LABEL = "label"
FINDING_LABELS = "finding_labels"
ETIOLOGY = "etiology"
BOXES = "boxes"
BOX_FINDINGS = "box_findings"

# Features with few values, which divide images into slices.
SLICEABLE = (DATASET, "source_split", ETIOLOGY, "sex", "view_position")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class XrayFile:
    """What a dataset's layout and tables say of one image.

    Attributes:
      path: where the image is.
      dataset: the registered name, such as `pediatric`.
      filename: the file's name as found on disk; a pseudonym where names may be a patient's.
      patient_id: the grouping key for splits, unique across datasets.
      label: 0 normal, 1 pneumonia; where all findings are labels, 0 is any image without pneumonia.
      findings: names out of `FINDINGS`, at least one.
      finding_labels: one for each of `PATHOLOGIES`, 1 where it is present; empty where pneumonia
        alone is the label.
      source_split: of the published division, where there is one: `train`, `val`, `test`, or
        `train_val` where training and validation were published as one.
      etiology: `bacteria`, `virus` or `none` (pediatric only).
      age_years: in whole years.
      sex: `F` or `M`.
      view_position: such as `PA`, `AP` or `LL`, as the dataset has it.
      modality: DICOM's, such as `DX`.
      body_part: DICOM's, such as `CHEST`.
      follow_up: number of the follow-up visit, 0 for the first (NIH only).
      boxes: x, y, width, height of each marked finding, as fractions of the image.
      box_findings: what each box marks, out of `PATHOLOGIES`.
    """

    path: str
    dataset: str
    filename: str
    patient_id: str
    label: int
    findings: tuple[str, ...]
    finding_labels: tuple[int, ...] = ()
    source_split: str | None = None
    etiology: str | None = None
    age_years: int | None = None
    sex: str | None = None
    view_position: str | None = None
    modality: str | None = None
    body_part: str | None = None
    follow_up: int | None = None
    boxes: tuple[tuple[float, float, float, float], ...] = ()
    box_findings: tuple[str, ...] = ()

    @property
    def target(self) -> tuple[int, ...]:
        """What a model is to learn of the image."""
        return self.finding_labels or (self.label,)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ImageFacts:
    """What the bytes of an image file tell.

    They stand for the pixels where pixels cannot be watched, in TFDV above all. Grey levels are
    on [0, 1].

    Attributes:
      sha256: hexadecimal digest of the original file.
      format: `JPEG`, `PNG` ...: what the bytes are, whatever the file is called.
      height: of the original image, in pixels.
      width: of the original image, in pixels.
      file_bytes: size of the original file.
      mean: mean grey level.
      std: standard deviation of the grey levels.
      p01: first percentile of the grey levels.
      p99: ninety-ninth percentile of the grey levels.
      black_border: share of the outermost frame (one twentieth of each side) that is black.
      sharpness: variance of the Laplacian at a common scale of 256 pixels.
      colour: mean difference between the strongest and the weakest colour of a pixel, on [0, 1];
        0 for a grey image.
      polarity: how much it looks like a film rather than the negative of one, on [-1, 1]; see
        `polarity.polarity`.
    """

    sha256: str
    format: str
    height: int
    width: int
    file_bytes: int
    mean: float
    std: float
    p01: float
    p99: float
    black_border: float
    sharpness: float
    colour: float
    polarity: float


def finding_labels(findings: Collection[str], labels: Labels) -> tuple[int, ...]:
    """One for each of `PATHOLOGIES`, or none where pneumonia alone is the label.

    Args:
      findings: names out of `FINDINGS`.
      labels: what an Example is labelled with.
    """
    if labels == "pneumonia":
        return ()
    return tuple(int(name in findings) for name in PATHOLOGIES)


def class_names(labels: Labels) -> tuple[str, str]:
    """What images are counted by: their binary label, or whether they show anything at all."""
    return CLASS_NAMES if labels == "pneumonia" else ANY_FINDING_NAMES
