"""The account of an ingest as one HTML page, with thumbnails of what was left out."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from components import page
from components.example_gen.datasets import files, listing
from components.example_gen.datasets.listing import Fate, LeftOut
from components.example_gen.images import imaging
from components.example_gen.images.bad_image import BadImageError
from components.example_gen.record import PATHOLOGIES
from components.example_gen.report import KEPT, Ingest, exact_groups
from components.example_gen.split import Surveyed

# A page stays quick to open; `ingest.json` names more.
_SHOWN = 24
_SIDE = 144


@dataclasses.dataclass(frozen=True)
class Card:
    """An image on the page.

    Attributes:
      name: the file's.
      lines: what is said of it.
      picture: as a data URI; none where it cannot be decoded.
    """

    name: str
    lines: Sequence[str]
    picture: str | None


@dataclasses.dataclass(frozen=True)
class Gallery:
    """Images that share a reason."""

    reason: str
    count: int
    rows: Sequence[Sequence[Card]]


def render(ingest: Ingest, account: Mapping[str, Any]) -> str:
    """The page.

    Args:
      ingest: what the ingest found.
      account: the same as plain data, see `report.account`.
    """
    quarantined = [one for one in ingest.left_out() if one.fate is Fate.QUARANTINED]
    return page.render(
        "example_gen/ingest.html.jinja",
        filters={"sentence": _sentence},
        account=account,
        pathologies=PATHOLOGIES,
        fates=[KEPT, *(fate.value for fate in Fate)],
        quarantined=_galleries(quarantined),
        suspects=_galleries(ingest.kept_suspects()),
        near=_near(ingest),
        exact=_exact(ingest.surveyed),
    )


def _sentence(words: str) -> str:
    """With a capital at its beginning, and none taken away."""
    return words[:1].upper() + words[1:]


def thumbnail(path: str) -> str | None:
    """A small JPEG of an image as a data URI, or None if it cannot be decoded."""
    try:
        grey, _ = imaging.read_image(files.read_bytes(path))
    except (BadImageError, OSError, ValueError):  # a row of a table is no path at all
        return None
    scale = _SIDE / max(grey.shape)
    size = [max(1, round(side * scale)) for side in grey.shape[::-1]]
    small: np.ndarray = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    jpeg = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes()
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"


def _galleries(left_out: Sequence[LeftOut]) -> list[Gallery]:
    return [
        Gallery(
            reason,
            count,
            [
                [Card(Path(one.source).name, [], thumbnail(one.source))]
                for one in sorted(
                    (one for one in left_out if one.reason == reason), key=lambda o: o.source
                )[:_SHOWN]
            ],
        )
        for reason, count in listing.count_reasons(left_out).items()
    ]


def _near(ingest: Ingest) -> Gallery:
    splits = _splits(ingest)
    found = sorted(
        zip(ingest.near.links, ingest.same_film, strict=True), key=lambda one: -one[0].correlation
    )
    rows = []
    for link, pair in found[:_SHOWN]:
        said = [f"correlation {link.correlation:.3f}"]
        said += ["mirrored"] * link.mirrored + ["inverted"] * link.inverted
        rows.append([_card(pair[0], splits), _card(pair[1], splits, *said)])
    return Gallery("near-duplicates", len(found), rows)


def _splits(ingest: Ingest) -> dict[str, str]:
    return {
        one.file.path: split for split, members in ingest.division.splits.items() for one in members
    }


def _card(one: Surveyed, splits: Mapping[str, str], *lines: str) -> Card:
    said = (one.file.patient_id, splits.get(one.file.path, "not kept"), *lines)
    return Card(one.file.filename, said, thumbnail(one.file.path))


def _exact(surveyed: Iterable[Surveyed]) -> Gallery:
    groups = exact_groups(surveyed)
    rows = [
        [
            Card(one.file.filename, [one.file.patient_id], thumbnail(one.file.path))
            for one in group[:6]
        ]
        for group in groups[:_SHOWN]
    ]
    return Gallery("exact duplicates", len(groups), rows)
