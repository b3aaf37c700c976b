"""Which image goes into which split: by patient, salted, stable; or as published.

A hash of the patient decides, so a patient never straddles splits, and images that come later
never move one, unless they show that two patients are one.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Mapping, Sequence

from components.example_gen.datasets.listing import DatasetError, Fate, LeftOut
from components.example_gen.record import NORMAL, PNEUMONIA, ImageFacts, XrayFile

TRAIN, VALIDATION, TEST = SPLITS = ("train", "val", "test")
# The test images of the datasets that are balanced, before they are: with the prevalence that
# the dataset has. It repeats the test split's own images.
TEST_UNSAMPLED = "test_unsampled"

_TRAIN_AND_VALIDATION = "train_val"


@dataclasses.dataclass(frozen=True)
class SplitPlan:
    """How images are divided.

    Attributes:
      fractions: the share of patients for each of `SPLITS`; they add up to one.
      salt: another salt is another division.
      normals_per_pneumonia: for each dataset that is balanced, how many normal images are kept
        for each pneumonia image, within each split.
      as_published: keep the division and the duplicates that the datasets came with; what it
        leaves open is divided by patient.
    """

    fractions: Mapping[str, float]
    salt: str
    normals_per_pneumonia: Mapping[str, float] = dataclasses.field(default_factory=dict)
    as_published: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Surveyed:
    """An image that was opened and decoded.

    Attributes:
      file: what the dataset says of it.
      facts: what its bytes tell.
      look: its perceptual hash, see `perceptual_hash.perceptual_hash`.
    """

    file: XrayFile
    facts: ImageFacts
    look: bytes = b""


@dataclasses.dataclass(frozen=True)
class Division:
    """Images divided.

    Attributes:
      splits: the images of each of `SPLITS`, in a stable order.
      unsampled: those of `TEST_UNSAMPLED`; none where nothing is balanced.
      left_out: the others.
    """

    splits: Mapping[str, Sequence[Surveyed]]
    unsampled: Sequence[Surveyed]
    left_out: Sequence[LeftOut]


def divide(
    surveyed: Iterable[Surveyed],
    plan: SplitPlan,
    same_film: Iterable[tuple[Surveyed, Surveyed]] = (),
) -> Division:
    """Divide images over the splits.

    Of exact duplicates (the same bytes) the first by name is kept, and their patients are taken
    for one. Duplicates that contradict each other's label are left out, all of them.

    Args:
      surveyed: sound images.
      plan: how they are divided.
      same_film: images whose patients are taken for one, although their bytes differ.

    Raises:
      DatasetError: if a dataset has no published division, and that was asked for.
    """
    everything = in_order(surveyed)
    if plan.as_published:
        kept, left_out = _in_published_split(everything)
    else:
        kept, left_out = without_duplicates(everything)
    groups = _joined_patients(everything, same_film)
    splits: dict[str, list[Surveyed]] = {split: [] for split in SPLITS}
    published = _published(kept) if plan.as_published else {}
    for one in kept:
        where = published.get(one.file.path, SPLITS)
        splits[split_of(groups[one.file.patient_id], plan, where)].append(one)
    unsampled = [one for one in splits[TEST] if one.file.dataset in plan.normals_per_pneumonia]
    for split, members in splits.items():
        for dataset, ratio in sorted(plan.normals_per_pneumonia.items()):
            members, surplus = _downsampled(members, dataset, ratio, plan.salt)
            left_out += surplus
        splits[split] = members
    return Division(splits, unsampled, left_out)


def in_order(surveyed: Iterable[Surveyed]) -> list[Surveyed]:
    """Images by dataset and name, whatever order they were read in."""
    return sorted(surveyed, key=lambda one: (one.file.dataset, one.file.path))


def without_duplicates(
    surveyed: Sequence[Surveyed],
) -> tuple[list[Surveyed], list[LeftOut]]:
    """The first of each content, unless its label is contradicted."""
    labels: dict[str, set[tuple[int, ...]]] = {}
    for one in surveyed:
        labels.setdefault(one.facts.sha256, set()).add(one.file.target)
    kept: list[Surveyed] = []
    left_out: list[LeftOut] = []
    seen: set[str] = set()
    for one in surveyed:
        if len(labels[one.facts.sha256]) > 1:
            left_out.append(LeftOut(one.file.path, "same bytes under different labels"))
        elif one.facts.sha256 in seen:
            reason = "exact duplicate of another image"
            left_out.append(LeftOut(one.file.path, reason, Fate.DUPLICATE))
        else:
            seen.add(one.facts.sha256)
            kept.append(one)
    return kept, left_out


def without_disputed(
    surveyed: Sequence[Surveyed], groups: Iterable[Sequence[Surveyed]]
) -> tuple[list[Surveyed], list[LeftOut]]:
    """Leave out films that are almost the same and bear different labels.

    Args:
      surveyed: sound images.
      groups: of near-duplicates, one image for each content.
    """
    contents = {
        one.facts.sha256
        for group in groups
        if len({one.file.target for one in group}) > 1
        for one in group
    }
    reason = "same film under different labels"
    return (
        [one for one in surveyed if one.facts.sha256 not in contents],
        [LeftOut(one.file.path, reason) for one in surveyed if one.facts.sha256 in contents],
    )


def split_of(patient: str, plan: SplitPlan, splits: Sequence[str] = SPLITS) -> str:
    """The split of a patient, by its key alone.

    Args:
      patient: the key.
      plan: how patients are divided.
      splits: those of `SPLITS` that come into question; they keep their proportions.
    """
    position = _hash01(plan.salt, patient) * sum(plan.fractions[split] for split in splits)
    for split in splits[:-1]:
        position -= plan.fractions[split]
        if position < 0:
            return split
    return splits[-1]


def _hash01(salt: str, key: str) -> float:
    """A uniform number on [0, 1) from a key."""
    digest = hashlib.sha256(f"{salt}\0{key}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _in_published_split(
    surveyed: Sequence[Surveyed],
) -> tuple[list[Surveyed], list[LeftOut]]:
    """The images that the published division knows.

    Raises:
      DatasetError: if it knows none of a dataset.
    """
    kept = [one for one in surveyed if one.file.source_split is not None]
    known = {one.file.dataset for one in kept}
    left_out: list[LeftOut] = []
    for one in surveyed:
        if one.file.dataset not in known:
            raise DatasetError(
                f"the {one.file.dataset} dataset came without a division. For NIH, put "
                "train_val_list.txt and test_list.txt beside its table; or divide by patient "
                "(data.split.method=by_patient)."
            )
        if one.file.source_split is None:
            left_out.append(LeftOut(one.file.path, "in no published split", Fate.OUT_OF_SCOPE))
    return kept, left_out


def _published(surveyed: Sequence[Surveyed]) -> dict[str, Sequence[str]]:
    """The splits that each image may be in, by its path."""
    has_validation = {one.file.dataset for one in surveyed if one.file.source_split == VALIDATION}
    found: dict[str, Sequence[str]] = {}
    for one in surveyed:
        split, dataset = one.file.source_split, one.file.dataset
        assert split is not None
        if split == _TRAIN_AND_VALIDATION or (split == TRAIN and dataset not in has_validation):
            found[one.file.path] = (TRAIN, VALIDATION)
        else:
            found[one.file.path] = (split,)
    return found


def _joined_patients(
    surveyed: Sequence[Surveyed], same_film: Iterable[tuple[Surveyed, Surveyed]]
) -> dict[str, str]:
    """Each patient's representative, after joining those who share a film (union-find)."""
    parent: dict[str, str] = {}

    def find(patient: str) -> str:
        parent.setdefault(patient, patient)
        while parent[patient] != patient:
            parent[patient] = parent[parent[patient]]
            patient = parent[patient]
        return patient

    def join(one: str, other: str) -> None:
        # The smaller key represents the group, whatever the order of the files.
        a, b = sorted((find(one), find(other)))
        parent[b] = a

    owner: dict[str, str] = {}
    for one in surveyed:
        join(one.file.patient_id, owner.setdefault(one.facts.sha256, one.file.patient_id))
    for one, other in same_film:
        join(one.file.patient_id, other.file.patient_id)
    return {patient: find(patient) for patient in parent}


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
    reason = "normal left out to balance"
    return kept, [LeftOut(path, reason, Fate.SURPLUS) for path in sorted(surplus)]
