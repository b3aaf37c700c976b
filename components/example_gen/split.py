"""Which image goes into which split: by patient, salted, stable.

A hash of the patient decides, so a patient never straddles splits, and images that come later
never move one.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Mapping, Sequence

from components.example_gen.listing import LeftOut
from components.example_gen.record import NORMAL, PNEUMONIA, ImageFacts, XrayFile

SPLITS = ("train", "val", "test")


@dataclasses.dataclass(frozen=True)
class SplitPlan:
    """How patients are divided.

    Attributes:
      fractions: the share of patients for each of `SPLITS`; they add up to one.
      salt: another salt is another division.
      normals_per_pneumonia: for each dataset that is balanced, how many normal images are kept
        for each pneumonia image, within each split.
    """

    fractions: Mapping[str, float]
    salt: str
    normals_per_pneumonia: Mapping[str, float] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Surveyed:
    """An image that was opened and found sound."""

    file: XrayFile
    facts: ImageFacts


def divide(
    surveyed: Iterable[Surveyed], plan: SplitPlan
) -> tuple[dict[str, list[Surveyed]], list[LeftOut]]:
    """Divide images over the splits.

    Of exact duplicates (the same bytes) the first by name is kept, and their patients are taken
    for one. Duplicates that contradict each other's label are left out, all of them.

    Returns:
      The images of each split in a stable order, and those that were left out.
    """
    everything = sorted(surveyed, key=lambda one: (one.file.dataset, one.file.path))
    groups = _joined_patients(everything)
    kept, left_out = _without_duplicates(everything)
    splits: dict[str, list[Surveyed]] = {split: [] for split in SPLITS}
    for one in kept:
        splits[split_of(groups[one.file.patient_id], plan)].append(one)
    for split, members in splits.items():
        for dataset, ratio in sorted(plan.normals_per_pneumonia.items()):
            members, surplus = _downsampled(members, dataset, ratio, plan.salt)
            left_out += surplus
        splits[split] = members
    return splits, left_out


def split_of(patient: str, plan: SplitPlan) -> str:
    """The split of a patient, by its key alone."""
    position = _hash01(plan.salt, patient)
    for split in SPLITS[:-1]:
        position -= plan.fractions[split]
        if position < 0:
            return split
    return SPLITS[-1]


def _hash01(salt: str, key: str) -> float:
    """A uniform number on [0, 1) from a key."""
    digest = hashlib.sha256(f"{salt}\0{key}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _joined_patients(surveyed: Sequence[Surveyed]) -> dict[str, str]:
    """Each patient's representative, after joining those who share a file (union-find)."""
    parent: dict[str, str] = {}

    def find(patient: str) -> str:
        parent.setdefault(patient, patient)
        while parent[patient] != patient:
            parent[patient] = parent[parent[patient]]
            patient = parent[patient]
        return patient

    owner: dict[str, str] = {}
    for one in surveyed:
        a = find(one.file.patient_id)
        b = find(owner.setdefault(one.facts.sha256, one.file.patient_id))
        # The smaller key represents the group, whatever the order of the files.
        parent[max(a, b)] = min(a, b)
    return {patient: find(patient) for patient in parent}


def _without_duplicates(
    surveyed: Sequence[Surveyed],
) -> tuple[list[Surveyed], list[LeftOut]]:
    labels: dict[str, set[int]] = {}
    for one in surveyed:
        labels.setdefault(one.facts.sha256, set()).add(one.file.label)
    kept: list[Surveyed] = []
    left_out: list[LeftOut] = []
    seen: set[str] = set()
    for one in surveyed:
        if len(labels[one.facts.sha256]) > 1:
            left_out.append(LeftOut(one.file.path, "same bytes under both labels"))
        elif one.facts.sha256 in seen:
            left_out.append(LeftOut(one.file.path, "exact duplicate of another image"))
        else:
            seen.add(one.facts.sha256)
            kept.append(one)
    return kept, left_out


def _downsampled(
    members: Sequence[Surveyed], dataset: str, ratio: float, salt: str
) -> tuple[list[Surveyed], list[LeftOut]]:
    """Keep all pneumonias of a dataset, and whole patients of normals up to the ratio."""
    own = [one for one in members if one.file.dataset == dataset]
    wanted = round(ratio * sum(one.file.label == PNEUMONIA for one in own))
    normals = [one for one in own if one.file.label == NORMAL]
    # Patients in the order of their hash; the last one may be cut, so that the ratio is met.
    normals.sort(key=lambda one: (_hash01(salt, one.file.patient_id), one.file.path))
    surplus = {one.file.path for one in normals[wanted:]}
    kept = [one for one in members if one.file.path not in surplus]
    return kept, [LeftOut(path, "normal left out to balance") for path in sorted(surplus)]
