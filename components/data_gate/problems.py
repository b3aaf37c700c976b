"""What is wrong with the data: each problem in a sentence, and what to do about it."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from components.data_gate.comparators import Measure
from components.data_gate.distance import Comparison, Distance, Kind
from components.data_gate.settings import DataGateSettings
from components.example_gen.record import CLASS_NAMES, NORMAL, PNEUMONIA
from components.example_gen.split import SPLITS, TEST, TEST_UNSAMPLED, TRAIN, VALIDATION

AS_PUBLISHED = "as_published"
_NEAR = "near_duplicates"

# The files and reasons of everything that was left out.
_INGEST = "ingest.json of XrayExampleGen"
_SCHEMA = "components/data_gate/schema.pbtxt"


class Check(enum.StrEnum):
    """What was looked at."""

    ANOMALY = "anomaly"
    BAD_ROWS = "bad rows"
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
        *_bad_rows(ingest, settings.max_bad_rows),
        *_anomalies(anomalies),
        *_differences(comparisons),
    ]


def find_notes(
    ingest: Mapping[str, Any], comparisons: Sequence[Comparison], settings: DataGateSettings
) -> list[str]:
    """What a reader should know, and is no reason to refuse the data."""
    notes = [*_notes_on_duplicates(ingest), *_notes_on_findings(ingest)]
    if suspects := sum(ingest["suspects"].values()):
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in ingest["suspects"].items())
        notes.append(f"{suspects:,} suspicious images were kept and only reported: {reasons}.")
    if ignored := ingest["ignored_values"]:
        fields = ", ".join(f"{name} ({count:,})" for name, count in ignored.items())
        notes.append(f"Values that could not be used were ignored: {fields}.")
    notes += _notes_on_comparisons(comparisons, settings)
    compared = {one.dataset for one in comparisons if one.kind is Kind.DRIFT}
    if new := [name for name in ingest["datasets"] if name not in compared]:
        notes.append(f"No earlier run of {', '.join(new)} was accepted, to compare this one with.")
    return notes


def _notes_on_duplicates(ingest: Mapping[str, Any]) -> Iterator[str]:
    leaks = ", ".join(_leaks(ingest))
    if leaks and is_published(ingest):
        yield (
            f"The published division was kept, and leaks: {leaks} in more than one split. Figures "
            "on test are too good; data.split.method=by_patient mends that."
        )
    elif (near := _leaks(ingest, _NEAR)) and _only_reports_near(ingest):
        yield (
            f"{near[0]} in more than one split: data.split.near_duplicates=report only counts "
            "them. Figures on test may be too good; join mends that."
        )
    counts = {kind: ingest["duplicates"].get(kind, {}) for kind in ("exact", "near")}
    contradicting = [
        _count(found, f"{kind} duplicate")
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
            f"{_count(abandoned, 'pair')} of similar films could not be compared: there may be "
            "more near duplicates, and more leakage, than were counted."
        )


def _notes_on_findings(ingest: Mapping[str, Any]) -> Iterator[str]:
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


def _notes_on_comparisons(
    comparisons: Sequence[Comparison], settings: DataGateSettings
) -> Iterator[str]:
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


def is_published(ingest: Mapping[str, Any]) -> bool:
    """Whether the division is the one that the data came with."""
    return ingest["split"]["method"] == AS_PUBLISHED


def _only_reports_near(ingest: Mapping[str, Any]) -> bool:
    """Whether near-duplicates were meant to be counted, and nothing else."""
    return ingest["split"].get("near_duplicates") == "report"


def _leaks(ingest: Mapping[str, Any], *kinds: str) -> list[str]:
    """Counted nouns, such as `3 patients`; of nothing, none."""
    words = {"patients": "patient", "exact_duplicates": "exact duplicate", _NEAR: "near duplicate"}
    return [
        _count(count, words[kind])
        for kind, count in ingest["leakage"].items()
        if count and kind in (kinds or words)
    ]


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"


def _leakage(ingest: Mapping[str, Any]) -> Iterator[Problem]:
    grave = ("patients", "exact_duplicates", *(() if _only_reports_near(ingest) else (_NEAR,)))
    leaks = _leaks(ingest, *grave)
    if leaks and not is_published(ingest):
        yield Problem(
            Check.LEAKAGE,
            f"The splits leak: {', '.join(leaks)} in more than one, so that figures on test would "
            "be too good.",
            "A division by patient keeps these together, whatever the data: this is a fault of "
            "XrayExampleGen, and no setting mends it. Do not use this division.",
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
            pneumonia = CLASS_NAMES[PNEUMONIA]
            if _is_balanced(ingest, dataset) and not own["classes"].get(pneumonia):
                yield Problem(
                    Check.CLASSES,
                    f"{dataset}: no {pneumonia} image in {split}, so that balancing kept no "
                    f"{CLASS_NAMES[NORMAL]} one either.",
                    remedy,
                )
                continue
            for name in ingest["class_names"]:
                if not own["classes"].get(name):
                    yield Problem(
                        Check.CLASSES,
                        f"{dataset}: the {split} split has no {name} image among its "
                        f"{own['images']:,}.",
                        remedy,
                    )


def _is_balanced(ingest: Mapping[str, Any], dataset: str) -> bool:
    source = ingest.get("sources", {}).get(dataset, {})
    # Nothing but balancing leaves a surplus.
    surplus = ingest["datasets"][dataset]["fates"].get("surplus", 0)
    return source.get("normals_per_pneumonia") is not None or surplus > 0


def _quarantine(ingest: Mapping[str, Any], limit: float) -> Iterator[Problem]:
    for dataset, own in ingest["datasets"].items():
        share = quarantined_share(own)
        if share > limit:
            yield Problem(
                Check.QUARANTINE,
                f"{dataset}: {_fate(own, 'quarantined'):,} of {images(own):,} images on disk "
                f"({100 * share:.1f} %) are quarantined; data_gate.max_quarantined is {limit:g}.",
                f"Replace or remove them: left_out_files in {_INGEST} says which, and why. If they "
                "are sound, see data.quality, or raise the limit.",
            )


def _bad_rows(ingest: Mapping[str, Any], limit: float) -> Iterator[Problem]:
    for dataset, own in ingest["datasets"].items():
        share = bad_rows_share(own)
        if share > limit:
            yield Problem(
                Check.BAD_ROWS,
                f"{dataset}: of {on_disk(own):,} rows and files, {_fate(own, 'bad row'):,} "
                f"({100 * share:.1f} %) are rows of the table that cannot be trusted; "
                f"data_gate.max_bad_rows is {limit:g}.",
                f"Correct the table, or name the columns that it calls otherwise "
                f"(data.datasets.{dataset}.columns): left_out_files in {_INGEST} says which rows, "
                "and why. If the rest is enough, raise the limit.",
            )


def quarantined_share(dataset: Mapping[str, Any]) -> float:
    """The share of a dataset's images that is quarantined."""
    return _fate(dataset, "quarantined") / max(1, images(dataset))


def bad_rows_share(dataset: Mapping[str, Any]) -> float:
    """The share of a dataset's rows and files that are rows not to be trusted."""
    return _fate(dataset, "bad row") / max(1, on_disk(dataset))


def images(dataset: Mapping[str, Any]) -> int:
    """How many images of a dataset could be asked whether they are films."""
    return on_disk(dataset) - _fate(dataset, "bad row") - _fate(dataset, "out of scope")


def on_disk(dataset: Mapping[str, Any]) -> int:
    """What was read of a dataset, but for a table's rows without an image."""
    return dataset["read"] - _fate(dataset, "not on disk")


def _fate(dataset: Mapping[str, Any], name: str) -> int:
    return dataset["fates"].get(name, 0)


def _anomalies(anomalies: Sequence[Anomaly]) -> Iterator[Problem]:
    in_test = {(one.feature, one.description) for one in anomalies if one.split == TEST}
    for one in anomalies:
        # The images of the test split are among the unsampled ones.
        if one.split == TEST_UNSAMPLED and (one.feature, one.description) in in_test:
            continue
        yield Problem(
            Check.ANOMALY,
            f"{one.split}: {one.feature}: {one.description.rstrip('.')}.",
            "Correct the data or leave those images out; if it is right, the schema is wrong: "
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
    return f"{distance.name} ({distance.value:.2f}, limit {distance.limit:.2f})"


def _allow(distances: Sequence[Distance]) -> str:
    """The settings that would let them pass, with a little room."""
    limits: dict[str, float] = {}
    for one in distances:
        shared = one.measure is Measure.PRESENCE
        name = "max_share_difference" if shared else f"limits.{one.feature}"
        limits[name] = max(limits.get(name, 0.0), min(1.0, 1.1 * one.value))
    return " ".join(f"--set data_gate.{name}={limit:.2f}" for name, limit in limits.items())


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
