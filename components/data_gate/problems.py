"""What is wrong with the data: each problem in a sentence, and what to do about it."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from components.data_gate.distance import Comparison, Distance, Kind
from components.data_gate.settings import DataGateSettings
from components.example_gen.record import CLASS_NAMES
from components.example_gen.split import SPLITS

AS_PUBLISHED = "as_published"

# The files and reasons of everything that was left out.
_INGEST = "ingest.json of XrayExampleGen"
_SCHEMA = "components/data_gate/schema.pbtxt"


class Check(enum.StrEnum):
    """What was looked at."""

    ANOMALY = "anomaly"
    CLASSES = "classes"
    DRIFT = "drift"
    LEAKAGE = "leakage"
    QUARANTINE = "quarantine"
    SKEW = "skew"


@dataclasses.dataclass(frozen=True)
class Problem:
    """Why the data is refused.

    Attributes:
      check: what was looked at.
      sentence: what was found.
      remedy: what to do about it.
    """

    check: Check
    sentence: str
    remedy: str


@dataclasses.dataclass(frozen=True)
class Anomaly:
    """What the schema does not allow.

    Attributes:
      split: where it was found.
      feature: its name.
      description: in TFDV's words.
    """

    split: str
    feature: str
    description: str


def find_problems(
    ingest: Mapping[str, Any],
    anomalies: Sequence[Anomaly],
    comparisons: Sequence[Comparison],
    settings: DataGateSettings,
) -> list[Problem]:
    """All that speaks against the data, what weighs most first.

    Args:
      ingest: the account that the ingest gave of itself.
      anomalies: by the schema.
      comparisons: with their distances.
      settings: the limits.
    """
    return [
        *_leakage(ingest),
        *_classes(ingest),
        *_quarantine(ingest, settings.max_quarantined),
        *_anomalies(anomalies),
        *_differences(comparisons),
    ]


def find_notes(
    ingest: Mapping[str, Any], comparisons: Sequence[Comparison], settings: DataGateSettings
) -> list[str]:
    """What a reader should know, and is no reason to refuse the data."""
    notes = []
    if is_published(ingest) and (leaks := _leaks(ingest)):
        notes.append(
            f"The published division was kept, and leaks: {', '.join(leaks)} in more than one "
            "split. Figures on test are too good; data.split.method=by_patient mends that."
        )
    if suspects := sum(ingest["suspects"].values()):
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in ingest["suspects"].items())
        notes.append(f"{suspects:,} suspicious images were kept and only reported: {reasons}.")
    if ignored := ingest["ignored_values"]:
        fields = ", ".join(f"{name} ({count:,})" for name, count in ignored.items())
        notes.append(f"Values that could not be used were ignored: {fields}.")
    if small := [one for one in comparisons if one.kind is not Kind.EXPECTED and not one.gated]:
        pairs = ", ".join(
            f"{one.first} and {one.second} of {one.dataset} ({one.images[0]:,} and "
            f"{one.images[1]:,})"
            for one in small
        )
        notes.append(
            f"Compared, but with fewer than data_gate.min_images ({settings.min_images:,}) images "
            f"not judged: {pairs}."
        )
    compared = {one.dataset for one in comparisons if one.kind is Kind.DRIFT}
    if new := [name for name in ingest["datasets"] if name not in compared]:
        notes.append(f"No earlier run of {', '.join(new)} was accepted, to compare this one with.")
    return notes


def is_published(ingest: Mapping[str, Any]) -> bool:
    """Whether the division is the one that the data came with."""
    return ingest["split"]["method"] == AS_PUBLISHED


def _leaks(ingest: Mapping[str, Any]) -> list[str]:
    """Counted nouns, such as `3 patients`; of nothing, none."""
    words = {
        "patients": "patient",
        "exact_duplicates": "exact duplicate",
        "near_duplicates": "near duplicate",
    }
    counts = {words[key]: count for key, count in ingest["leakage"].items() if count}
    return [f"{count:,} {word}{'s' * (count > 1)}" for word, count in counts.items()]


def _leakage(ingest: Mapping[str, Any]) -> Iterator[Problem]:
    leaks = _leaks(ingest)
    if leaks and not is_published(ingest):
        yield Problem(
            Check.LEAKAGE,
            f"The splits leak: {', '.join(leaks)} in more than one, so that figures on test would "
            "be too good.",
            "Set data.split.near_duplicates=join, unless it is. Otherwise a dataset's module takes "
            f"one patient for two: {_INGEST} counts what crosses patients.",
        )


def _classes(ingest: Mapping[str, Any]) -> Iterator[Problem]:
    remedy = (
        "Add such images to that folder, or divide by patient (data.split.method=by_patient)."
        if is_published(ingest)
        else "Add such images, or give the split a larger share (data.split.fractions)."
    )
    for split in SPLITS:
        for dataset in ingest["datasets"]:
            own = ingest["splits"].get(split, {}).get(dataset, {"images": 0, "classes": {}})
            for name in CLASS_NAMES:
                if not own["classes"].get(name):
                    yield Problem(
                        Check.CLASSES,
                        f"{dataset}: the {split} split has no {name} image among its "
                        f"{own['images']:,}.",
                        remedy,
                    )


def _quarantine(ingest: Mapping[str, Any], limit: float) -> Iterator[Problem]:
    for dataset, own in ingest["datasets"].items():
        share = quarantined_share(own)
        if share > limit:
            yield Problem(
                Check.QUARANTINE,
                f"{dataset}: {own['fates']['quarantined']:,} of {on_disk(own):,} images on disk "
                f"({100 * share:.1f} %) are quarantined; data_gate.max_quarantined is {limit:g}.",
                f"Replace or remove them: left_out_files in {_INGEST} says which, and why. If they "
                "are sound, see data.quality, or raise the limit.",
            )


def quarantined_share(dataset: Mapping[str, Any]) -> float:
    """The share of a dataset's images on disk that is quarantined."""
    return dataset["fates"].get("quarantined", 0) / max(1, on_disk(dataset))


def on_disk(dataset: Mapping[str, Any]) -> int:
    """How many images of a dataset are there; a table may have rows without one."""
    return dataset["read"] - dataset["fates"].get("not on disk", 0)


def _anomalies(anomalies: Sequence[Anomaly]) -> Iterator[Problem]:
    for one in anomalies:
        yield Problem(
            Check.ANOMALY,
            f"{one.split}: {one.feature}: {one.description.rstrip('.')}.",
            f"Correct the data or leave those images out; if it is right, so is not the schema: "
            f"mend {one.feature} in {_SCHEMA}.",
        )


def _differences(comparisons: Sequence[Comparison]) -> Iterator[Problem]:
    for one in comparisons:
        if one.exceeded:
            far = sorted(one.exceeded, key=lambda distance: distance.value, reverse=True)
            drift = one.kind is Kind.DRIFT
            yield Problem(
                Check.DRIFT if drift else Check.SKEW,
                f"{one.dataset}: {one.first} ({one.images[0]:,} images) and {one.second} "
                f"({one.images[1]:,}) differ more than they may in "
                f"{', '.join(map(_say_distance, far))}.",
                _drift_remedy(far) if drift else _skew_remedy(one, far),
            )


def _say_distance(distance: Distance) -> str:
    return f"{distance.feature} ({distance.value:.2f}, limit {distance.limit:.2f})"


def _allow(distances: Sequence[Distance]) -> str:
    """The settings that would let them pass, with a little room."""
    limits = {one.feature: min(1.0, 1.1 * one.value) for one in distances}
    return " ".join(f"--set data_gate.limits.{name}={limit:.2f}" for name, limit in limits.items())


def _drift_remedy(far: Sequence[Distance]) -> str:
    return (
        "Look for what changed at the source. If the change is wanted, run once with --set "
        "data_gate.on_failure=warn: the next run is then compared with this one. As much in "
        f"every run is allowed by {_allow(far)}."
    )


def _skew_remedy(comparison: Comparison, far: Sequence[Distance]) -> str:
    return (
        f"Compare the distributions: are the images of {comparison.second} from another place, or "
        f"processed otherwise? If that is meant, it is allowed by {_allow(far)}."
    )
