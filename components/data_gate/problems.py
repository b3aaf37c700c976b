"""What is wrong with the data: each problem in a sentence, and what to do about it."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from components.data_gate.account import (
    NEAR,
    bad_rows_share,
    fate,
    images,
    is_published,
    leaks,
    on_disk,
    only_reports_near,
    quarantined_share,
)
from components.data_gate.comparators import Measure
from components.data_gate.distance import Comparison, Distance, Kind
from components.data_gate.settings import DataGateSettings
from components.example_gen.record import CLASS_NAMES, NORMAL, PNEUMONIA
from components.example_gen.split import SPLITS, TEST, TEST_UNSAMPLED

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


def _leakage(ingest: Mapping[str, Any]) -> Iterator[Problem]:
    grave = ("patients", "exact_duplicates", *(() if only_reports_near(ingest) else (NEAR,)))
    leaking = leaks(ingest, *grave)
    if leaking and not is_published(ingest):
        yield Problem(
            Check.LEAKAGE,
            f"The splits leak: {', '.join(leaking)} in more than one, so that figures on test "
            "would be too good.",
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
                f"{dataset}: {fate(own, 'quarantined'):,} of {images(own):,} images on disk "
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
                f"{dataset}: of {on_disk(own):,} rows and files, {fate(own, 'bad row'):,} "
                f"({100 * share:.1f} %) are rows of the table that cannot be trusted; "
                f"data_gate.max_bad_rows is {limit:g}.",
                f"Correct the table, or name the columns that it calls otherwise "
                f"(data.datasets.{dataset}.columns): left_out_files in {_INGEST} says which rows, "
                "and why. If the rest is enough, raise the limit.",
            )


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
