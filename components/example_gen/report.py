"""The account of an ingest: what was read, what was kept, what was left out and why."""

from __future__ import annotations

import collections
from collections.abc import Mapping, Sequence
from typing import Any

from components.example_gen import listing
from components.example_gen.listing import DatasetError, LeftOut
from components.example_gen.record import CLASS_NAMES
from components.example_gen.split import Surveyed

FILE_NAME = "ingest.json"


def account(
    read: int, splits: Mapping[str, Sequence[Surveyed]], left_out: Sequence[LeftOut]
) -> dict[str, Any]:
    """The account as plain data, ready for JSON.

    Args:
      read: files and rows that the listings saw.
      splits: the images that became Examples.
      left_out: all others.

    Raises:
      RuntimeError: if the counts do not add up: something was lost in silence.
    """
    kept = sum(len(members) for members in splits.values())
    if read != kept + len(left_out):
        raise RuntimeError(f"read {read} is not kept {kept} + left out {len(left_out)}")
    return {
        "read": read,
        "kept": kept,
        "left_out": listing.count_reasons(left_out),
        "splits": {split: _counts(members) for split, members in splits.items()},
        # Enough to find the fault; a table may name a hundred thousand images that are not there.
        "left_out_files": {
            reason: sorted(one.source for one in left_out if one.reason == reason)[:50]
            for reason in listing.count_reasons(left_out)
        },
    }


def require_usable(splits: Mapping[str, Sequence[Surveyed]], left_out: Sequence[LeftOut]) -> None:
    """Refuse data that nothing can be learnt from.

    Raises:
      DatasetError: if a split is without a class; the message says what was left out.
    """
    for split, members in splits.items():
        present = {one.file.label for one in members}
        for label, name in enumerate(CLASS_NAMES):
            if label not in present:
                reasons = "; ".join(
                    f"{count:,} {reason}"
                    for reason, count in listing.count_reasons(left_out).items()
                )
                raise DatasetError(
                    f"the {split} split has no {name} image among its {len(members):,}. "
                    f"Left out: {reasons or 'nothing'}. Add images, or give the split a larger "
                    "share (data.split.fractions)."
                )


def _counts(members: Sequence[Surveyed]) -> dict[str, Any]:
    datasets = sorted({one.file.dataset for one in members})
    return {
        dataset: {
            "images": sum(one.file.dataset == dataset for one in members),
            "patients": len({o.file.patient_id for o in members if o.file.dataset == dataset}),
            "classes": dict(
                sorted(
                    collections.Counter(
                        CLASS_NAMES[one.file.label]
                        for one in members
                        if one.file.dataset == dataset
                    ).items()
                )
            ),
        }
        for dataset in datasets
    }
