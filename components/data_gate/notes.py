"""What a reader should know of the data, and is no reason to refuse it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from components.data_gate.account import NEAR, counted, is_published, leaks, only_reports_near
from components.data_gate.distance import Comparison, Kind
from components.data_gate.settings import DataGateSettings
from components.example_gen.split import SPLITS, TEST, TRAIN, VALIDATION


def find_notes(
    ingest: Mapping[str, Any], comparisons: Sequence[Comparison], settings: DataGateSettings
) -> list[str]:
    """All notes, each a sentence or two.

    Args:
      ingest: the account that the ingest gave of itself.
      comparisons: with their distances.
      settings: the limits.
    """
    notes = [*_on_duplicates(ingest), *_on_findings(ingest)]
    if suspects := sum(ingest["suspects"].values()):
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in ingest["suspects"].items())
        notes.append(f"{suspects:,} suspicious images were kept and only reported: {reasons}.")
    if ignored := ingest["ignored_values"]:
        fields = ", ".join(f"{name} ({count:,})" for name, count in ignored.items())
        notes.append(f"Values that could not be used were ignored: {fields}.")
    notes += _on_comparisons(comparisons, settings)
    compared = {one.dataset for one in comparisons if one.kind is Kind.DRIFT}
    if new := [name for name in ingest["datasets"] if name not in compared]:
        notes.append(f"No earlier run of {', '.join(new)} was accepted, to compare this one with.")
    return notes


def _on_duplicates(ingest: Mapping[str, Any]) -> Iterator[str]:
    leaking = ", ".join(leaks(ingest))
    if leaking and is_published(ingest):
        yield (
            f"The published division was kept, and leaks: {leaking} in more than one split. "
            "Figures on test are too good; data.split.method=by_patient mends that."
        )
    elif (near := leaks(ingest, NEAR)) and only_reports_near(ingest):
        yield (
            f"{near[0]} in more than one split: data.split.near_duplicates=report only counts "
            "them. Figures on test may be too good; join mends that."
        )
    counts = {kind: ingest["duplicates"].get(kind, {}) for kind in ("exact", "near")}
    contradicting = [
        counted(found, f"{kind} duplicate")
        for kind, own in counts.items()
        if (found := own.get("across_labels", 0))
    ]
    if contradicting and is_published(ingest):
        yield (
            "The published division was kept, and contradicts itself: "
            f"{' and '.join(contradicting)} under different labels. data.split.method=by_patient "
            "leaves them out."
        )
    if abandoned := counts["near"].get("abandoned", 0):
        yield (
            f"{counted(abandoned, 'pair')} of similar films could not be compared: there may be "
            "more near duplicates, and more leakage, than were counted."
        )


def _on_findings(ingest: Mapping[str, Any]) -> Iterator[str]:
    """The findings that a split lacks: with 14 of them, rare ones will be missing somewhere."""
    consequence = {
        TRAIN: "learnt",
        VALIDATION: "calibrated, nor given an operating point",
        TEST: "measured",
    }
    for split in SPLITS:
        for dataset, own in ingest["splits"].get(split, {}).items():
            missing = [name for name, count in own["findings"].items() if not count]
            if missing:
                yield (
                    f"{dataset}: the {split} split has no image of {', '.join(missing)} among its "
                    f"{own['images']:,}: what is missing there cannot be {consequence[split]}."
                )


def _on_comparisons(comparisons: Sequence[Comparison], settings: DataGateSettings) -> Iterator[str]:
    judged = [one for one in comparisons if one.kind is not Kind.EXPECTED]
    for one in judged:
        if one.changed:
            yield (
                f"{one.dataset}: the last accepted run was made by other settings "
                f"({', '.join(one.changed)}), so that its difference from this one is not judged."
            )
    if small := [one for one in judged if min(one.images) < settings.min_images]:
        pairs = ", ".join(
            f"{one.first} and {one.second} of {one.dataset} ({one.images[0]:,} and "
            f"{one.images[1]:,})"
            for one in small
        )
        yield (
            f"Compared, but with fewer than data_gate.min_images ({settings.min_images:,}) images "
            f"not judged: {pairs}."
        )
    rare: dict[str, list[str]] = {}
    for one in judged:
        if one.gated:
            rare.setdefault(one.dataset, []).extend(d.name for d in one.distances if not d.judged)
    for dataset, names in rare.items():
        if names:
            yield (
                f"{dataset}: compared, but had by fewer than data_gate.min_images "
                f"({settings.min_images:,}) images and not judged: "
                f"{', '.join(dict.fromkeys(names))}."
            )
