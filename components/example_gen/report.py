"""The account of an ingest: what was read, what became of it, and what the splits share."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from components.example_gen.datasets import listing
from components.example_gen.datasets.listing import DatasetError, Fate, LeftOut, Listing
from components.example_gen.datasets.source import Source
from components.example_gen.images.near_duplicates import Found
from components.example_gen.leakage import Leakage, leakage
from components.example_gen.record import PATHOLOGIES, Labels, class_names
from components.example_gen.settings import Quality, Split
from components.example_gen.split import TEST, TEST_UNSAMPLED, Division, Surveyed

FILE_NAME = "ingest.json"
PAGE_NAME = "ingest.html"
KEPT = "kept"

# Enough to find a fault; a table may name a hundred thousand images that are not there.
_NAMED = 50


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ingest:
    """All that an ingest found.

    Attributes:
      listings: what each dataset's module gave.
      sources: the settings of each dataset.
      labels: what images are labelled with.
      split: how images were to be divided.
      quality: what was asked of them.
      surveyed: the images that could be decoded.
      division: what became of the sound ones.
      bad: those that could not be decoded, or were quarantined.
      suspects: images that were to be quarantined, and were only reported.
      same_film: pairs of near-duplicates among the sound ones.
      near: how they were found.
    """

    listings: Sequence[Listing]
    sources: Mapping[str, Source]
    labels: Labels
    split: Split
    quality: Quality
    surveyed: Sequence[Surveyed]
    division: Division
    bad: Sequence[LeftOut]
    suspects: Sequence[LeftOut]
    same_film: Sequence[tuple[Surveyed, Surveyed]]
    near: Found

    def left_out(self, dataset: str | None = None) -> list[LeftOut]:
        """All that did not become an Example, of one dataset or of all."""
        found: list[LeftOut] = []
        for one in self.listings:
            if dataset in (None, one.dataset):
                own = {file.path for file in one.files}
                found += one.left_out
                found += [o for o in (*self.bad, *self.division.left_out) if o.source in own]
        return found

    def kept_suspects(self) -> list[LeftOut]:
        """Suspects that became Examples."""
        kept = {one.file.path for members in self.division.splits.values() for one in members}
        return [one for one in self.suspects if one.source in kept]

    def leakage(self) -> Leakage:
        """What the splits share; test images count, whether or not balancing left them out."""
        splits = dict(self.division.splits)
        paths = {one.file.path for one in splits[TEST]}
        splits[TEST] = [
            *splits[TEST],
            *(one for one in self.division.unsampled if one.file.path not in paths),
        ]
        return leakage(splits, self.same_film)


def account(ingest: Ingest) -> dict[str, Any]:
    """The account as plain data, ready for JSON.

    Raises:
      RuntimeError: if the counts do not add up: something was lost in silence.
    """
    datasets: dict[str, Any] = {
        one.dataset: {"read": one.read, "fates": _fates(ingest, one)} for one in ingest.listings
    }
    left_out = ingest.left_out()
    fates = collections.Counter[str]()
    for one in datasets.values():
        fates.update(one["fates"])
    return {
        "read": sum(one.read for one in ingest.listings),
        "kept": fates[KEPT],
        "labels": ingest.labels,
        "class_names": list(class_names(ingest.labels)),
        "sources": {name: one.model_dump() for name, one in ingest.sources.items()},
        "split": ingest.split.model_dump(mode="json"),
        "quality": ingest.quality.model_dump(mode="json"),
        "fates": dict(fates),
        "left_out": listing.count_reasons(left_out),
        "left_out_files": _named(left_out),
        "datasets": datasets,
        "splits": {
            split: _counts(members, ingest.labels)
            for split, members in ingest.division.splits.items()
        },
        "unsampled": (
            {TEST_UNSAMPLED: _counts(ingest.division.unsampled, ingest.labels)}
            if ingest.division.unsampled
            else {}
        ),
        "ignored_values": _ignored(ingest.listings),
        "suspects": listing.count_reasons(ingest.kept_suspects()),
        "suspect_files": _named(ingest.kept_suspects()),
        "duplicates": {
            "exact": exact_duplicates(ingest.surveyed),
            "near": near_duplicates(ingest),
        },
        "leakage": dataclasses.asdict(ingest.leakage()),
    }


def require_images(ingest: Ingest) -> None:
    """Refuse a division of which a split is empty: what follows could not even look at it.

    Raises:
      DatasetError: the message says what was left out.
    """
    balanced = [name for name, one in ingest.sources.items() if one.normals_per_pneumonia]
    empty = [split for split, members in ingest.division.splits.items() if not members]
    if balanced and not ingest.division.unsampled:
        empty.append(f"{TEST} (of {' and '.join(balanced)})")
    if not empty:
        return
    counts = listing.count_reasons(ingest.left_out())
    reasons = "; ".join(f"{count:,} {reason}" for reason, count in counts.items())
    patients = {one.file.patient_id for one in ingest.surveyed}
    remedy = (
        "The published division has none for it: divide by patient (data.split.method=by_patient)."
        if ingest.split.method == "as_published"
        else "Add images of more patients, or give the split a larger share (data.split.fractions)."
    )
    raise DatasetError(
        f"the {empty[0]} split has no image, of {len(ingest.surveyed):,} of {len(patients):,} "
        f"patients that could be read. Left out: {reasons or 'nothing'}. {remedy}"
    )


def require_clean_patients(ingest: Ingest) -> None:
    """Make sure that a division by patient is one.

    Raises:
      RuntimeError: if a patient or a film is in two splits.
    """
    found = ingest.leakage()
    reported = ingest.split.near_duplicates == "report"
    leaked = found.patients + found.exact_duplicates + (0 if reported else found.near_duplicates)
    if ingest.split.method == "by_patient" and leaked:
        raise RuntimeError(f"the split by patient leaks: {found}")


def exact_groups(surveyed: Iterable[Surveyed]) -> list[list[Surveyed]]:
    """Images that have their bytes in common with others, group by group."""
    groups: dict[str, list[Surveyed]] = {}
    for one in surveyed:
        groups.setdefault(one.facts.sha256, []).append(one)
    return [group for group in groups.values() if len(group) > 1]


def exact_duplicates(surveyed: Iterable[Surveyed]) -> dict[str, int]:
    """Groups of files with the same bytes, the files in them, and groups that cross a border."""
    groups = exact_groups(surveyed)
    return {
        "groups": len(groups),
        "files": sum(map(len, groups)),
        "across_patients": _crossing(groups, "patient_id"),
        "across_datasets": _crossing(groups, "dataset"),
        "across_labels": _crossing(groups, "target"),
    }


def near_duplicates(ingest: Ingest) -> dict[str, int]:
    """Pairs of almost the same film, those that cross a border, and how they were found."""
    pairs, near = ingest.same_film, ingest.near
    return {
        "groups": len(near.groups()),
        "files": sum(map(len, near.groups())),
        "across_patients": _crossing(pairs, "patient_id"),
        "across_datasets": _crossing(pairs, "dataset"),
        "across_labels": _crossing(pairs, "target"),
        "similar_hashes": near.candidates,
        "compared": near.compared,
        "rejected": near.rejected,
        "abandoned": near.abandoned,
    }


def _crossing(groups: Iterable[Sequence[Surveyed]], field: str) -> int:
    return sum(len({getattr(one.file, field) for one in group}) > 1 for group in groups)


def _fates(ingest: Ingest, one: Listing) -> dict[str, int]:
    kept = sum(
        image.file.dataset == one.dataset
        for members in ingest.division.splits.values()
        for image in members
    )
    counts = collections.Counter(left.fate for left in ingest.left_out(one.dataset))
    if one.read != kept + counts.total():
        raise RuntimeError(
            f"{one.dataset}: read {one.read} is not kept {kept} + left out {counts.total()}"
        )
    return {KEPT: kept} | {fate.value: counts[fate] for fate in Fate}


def _named(left_out: Sequence[LeftOut]) -> dict[str, list[str]]:
    return {
        reason: sorted(one.source for one in left_out if one.reason == reason)[:_NAMED]
        for reason in listing.count_reasons(left_out)
    }


def _ignored(listings: Iterable[Listing]) -> dict[str, int]:
    return dict(collections.Counter(one.field for found in listings for one in found.ignored))


def _counts(members: Sequence[Surveyed], labels: Labels) -> dict[str, Any]:
    by_dataset: dict[str, list[Surveyed]] = {}
    for one in members:
        by_dataset.setdefault(one.file.dataset, []).append(one)
    return {
        dataset: {
            "images": len(own),
            "patients": len({one.file.patient_id for one in own}),
            "classes": {
                name: sum(any(one.file.target) == bool(label) for one in own)
                for label, name in enumerate(class_names(labels))
            },
            "findings": _findings(own) if labels == "findings" else {},
        }
        for dataset, own in sorted(by_dataset.items())
    }


def _findings(members: Sequence[Surveyed]) -> dict[str, int]:
    """How many images show each of the pathologies."""
    counts = [
        sum(column) for column in zip(*(one.file.finding_labels for one in members), strict=True)
    ]
    return dict(zip(PATHOLOGIES, counts, strict=True))
