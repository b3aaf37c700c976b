"""Writes whole synthetic sets in the layouts in which the real ones come.

Every image is drawn, none is a patient's. A set can stand in for the real one wherever files
are read: in tests, demonstrations and on machines that may not hold patients' data.
"""

import csv
import dataclasses
import io
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from components.example_gen.synthetic.anatomy import Style, sample_anatomy
from components.example_gen.synthetic.opacity import Box
from components.example_gen.synthetic.phantom import draw_film
from components.example_gen.synthetic.plans import PlannedFilm, plan_nih, plan_pediatric

MANIFEST = "synthetic.json"
MINIMUM_IMAGES = 20
"""Enough for every folder and class of both layouts."""

# Part of the manifest: raise it when the same seed comes to draw other bytes.
_GENERATOR_VERSION = 2
# What decides about every byte of a set.
_IDENTITY = ("dataset", "images", "seed", "pneumonia_share", "generator_version")
_UNFINISHED = "synthetic.json.unfinished"
_FOLDERS: Mapping[str, str] = {"pediatric": "chest_xray", "nih": "nih"}
_STREAMS: Mapping[str, int] = {"pediatric": 0, "nih": 1}
_NIH_SIDE = 512  # pixels; the originals have 1024
_BOX_FRAME = 1024  # pixels; the published boxes are in the frame of the originals
_JPEG_QUALITY = 92

_NIH_HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,"
    "View Position,OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]"
)
# As published: three empty columns that no row fills.
_BOX_HEADER = "Image Index,Finding Label,Bbox [x,y,w,h],,,"
_README = """\
Synthetic chest X-rays: drawn by a program, not taken of patients.

No image here shows a person, and nothing in it is evidence about any disease. Names, numbers
and tables follow the layout of a public data set so that software can be tried out; ages,
sexes, findings and boxes are invented with the images. Not for diagnosis, and not for any
claim about how well a model works on patients.

Adult (nih) images have 512 x 512 pixels where the originals have 1024 x 1024; their boxes are
given in the 1024-pixel frame, as in the original list. Findings other than pneumonia are names
only: nothing is drawn for them.
"""


@dataclasses.dataclass(frozen=True)
class Synthesis:
    """A synthetic set on disk.

    Attributes:
        dataset: `pediatric` or `nih`.
        root: the set's folder, `OUT/chest_xray` or `OUT/nih`.
        images: number of films.
        patients: number of patients.
        counts: films per class (pediatric: normal, bacteria, virus) or per value of the
            `Finding Labels` column (nih).
    """

    dataset: str
    root: Path
    images: int
    patients: int
    counts: Mapping[str, int]


def synthesize(
    dataset: str,
    *,
    images: int,
    out: Path,
    seed: int,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    pneumonia_share: float = 0.14,
) -> Synthesis:
    """Writes a synthetic set below `out`, or finds it there.

    The same arguments give the same bytes, whatever the number of workers.

    Args:
        dataset: `pediatric` writes `out/chest_xray`, `nih` writes `out/nih`.
        images: number of films.
        out: folder for the set; made if missing.
        seed: decides about everything that is random; not negative.
        workers: threads, one per processor by default.
        progress: called with (films done, films in all) after each film.
        pneumonia_share: of the NIH films; the pediatric mix is that of the published set.

    Raises:
        ValueError: if the arguments make no set with both classes, or `out` holds another set.
    """
    _check(dataset, images, seed, pneumonia_share)
    root = out / _FOLDERS[dataset]
    rng = np.random.default_rng(_sequence(seed, dataset))
    if dataset == "pediatric":
        films = plan_pediatric(images, rng)
    else:
        films = plan_nih(images, pneumonia_share, rng)
    synthesis = Synthesis(
        dataset=dataset,
        root=root,
        images=len(films),
        patients=len({film.patient for film in films}),
        counts=dict(sorted(Counter(film.group for film in films).items())),
    )
    manifest = {
        "synthetic": True,
        "note": "Drawn by a program; no image shows a patient.",
        "generator_version": _GENERATOR_VERSION,
        "dataset": dataset,
        "images": images,
        "seed": seed,
        "pneumonia_share": pneumonia_share if dataset == "nih" else None,
        "patients": synthesis.patients,
        "counts": synthesis.counts,
    }
    if _already_made(root, manifest):
        return synthesis

    _start(root, films, manifest)
    boxes = _draw_all(root, dataset, films, seed, workers or os.cpu_count() or 1, progress)
    if dataset == "nih":
        _write_nih_tables(root, films, boxes)
    # Last, and in one step: a folder with a manifest is a whole set.
    (root / _UNFINISHED).replace(root / MANIFEST)
    return synthesis


def _check(dataset: str, images: int, seed: int, pneumonia_share: float) -> None:
    if dataset not in _FOLDERS:
        known = ", ".join(sorted(_FOLDERS))
        raise ValueError(f"There is no synthetic dataset {dataset!r}. Choose one of: {known}.")
    if images < MINIMUM_IMAGES:
        raise ValueError(
            f"{images} images cannot fill both classes in every folder. Ask for "
            f"{MINIMUM_IMAGES} or more."
        )
    if seed < 0:
        raise ValueError(f"The seed must not be negative, and is {seed}. Choose 0 or more.")
    if dataset == "nih" and not 2 <= round(images * pneumonia_share) <= 0.9 * images:
        raise ValueError(
            f"A pneumonia share of {pneumonia_share} of {images} images leaves a class without "
            "images. Choose a share up to 0.9 that makes at least 2 images."
        )


def _already_made(root: Path, manifest: Mapping[str, Any]) -> bool:
    """Whether this very set is there.

    Raises:
        ValueError: if something else is, which must not be overwritten.
    """
    if (root / MANIFEST).is_file():
        found = json.loads((root / MANIFEST).read_text())
        differing = [key for key in _IDENTITY if found.get(key) != manifest[key]]
        if not differing:
            return True
        raise ValueError(
            f"{root} already holds another synthetic set (it differs in "
            f"{', '.join(differing)}). Choose another output folder, or delete this one first."
        )
    if root.is_dir() and any(root.iterdir()) and not (root / _UNFINISHED).is_file():
        raise ValueError(
            f"{root} holds files that are not a synthetic set, perhaps real images. They stay "
            "as they are: choose another output folder."
        )
    return False


def _start(root: Path, films: Sequence[PlannedFilm], manifest: Mapping[str, Any]) -> None:
    """An empty set; what an interrupted run left is removed."""
    if root.is_dir():
        shutil.rmtree(root)
    root.mkdir(parents=True)
    # First of all, so that an interrupted run is known as one of ours.
    (root / _UNFINISHED).write_text(json.dumps(manifest, indent=2) + "\n")
    (root / "README.txt").write_text(_README)
    for folder in {(root / film.path).parent for film in films}:
        folder.mkdir(parents=True, exist_ok=True)


def _draw_all(
    root: Path,
    dataset: str,
    films: Sequence[PlannedFilm],
    seed: int,
    workers: int,
    progress: Callable[[int, int], None] | None,
) -> list[tuple[Box, ...]]:
    """Draws and writes every film; returns the boxes of each, in the order of `films`."""

    def draw(film: PlannedFilm) -> tuple[Box, ...]:
        pixels, boxes = _draw(film, dataset, seed)
        path = root / film.path
        path.write_bytes(_encode(pixels, path.suffix))
        return boxes

    boxes: list[tuple[Box, ...]] = []
    # Threads suffice: OpenCV and numpy let go of the interpreter while they work.
    with ThreadPoolExecutor(workers) as pool:
        for found in pool.map(draw, films):
            boxes.append(found)
            if progress is not None:
                progress(len(boxes), len(films))
    return boxes


def _draw(
    film: PlannedFilm, dataset: str, seed: int
) -> tuple[npt.NDArray[np.uint8], tuple[Box, ...]]:
    style: Style = "pediatric" if dataset == "pediatric" else "nih"
    patient_rng = np.random.default_rng(_sequence(seed, dataset, film.patient))
    film_rng = np.random.default_rng(_sequence(seed, dataset, film.patient, film.film))
    anatomy = sample_anatomy(style, patient_rng, sex=film.nih.sex if film.nih else "M")
    drawn = draw_film(
        anatomy,
        film_rng,
        pneumonia=film.pneumonia,
        # Small children are filmed lying down, from the front.
        view=film.nih.view if film.nih else "AP",
        side_length=_NIH_SIDE,
    )
    return drawn.pixels, drawn.boxes


def _sequence(seed: int, dataset: str, *key: int) -> np.random.SeedSequence:
    return np.random.SeedSequence(seed, spawn_key=(_STREAMS[dataset], *key))


def _encode(pixels: npt.NDArray[np.uint8], suffix: str) -> bytes:
    settings = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY] if suffix == ".jpeg" else []
    return cv2.imencode(suffix, pixels, settings)[1].tobytes()


def _write_nih_tables(
    root: Path, films: Sequence[PlannedFilm], boxes: Sequence[tuple[Box, ...]]
) -> None:
    """The table and the boxes, the latter in the 1024-pixel frame of the published images."""
    entries, rows = io.StringIO(), io.StringIO()
    entries.write(_NIH_HEADER + "\n")
    rows.write(_BOX_HEADER + "\n")
    table = csv.writer(entries, lineterminator="\n")
    box_table = csv.writer(rows, lineterminator="\n")
    scale = _BOX_FRAME / _NIH_SIDE
    for film, found in zip(films, boxes, strict=True):
        name = Path(film.path).name
        row = film.nih
        if row is None:
            raise TypeError(f"{name} is planned without a row for the NIH table")
        values = dataclasses.asdict(row)
        spacing = values.pop("spacing")
        table.writerow([name, *values.values(), spacing, spacing])
        for box in found:
            corners = (box.x, box.y, box.width, box.height)
            box_table.writerow([name, "Pneumonia", *(value * scale for value in corners)])
    (root / "Data_Entry_2017_v2020.csv").write_text(entries.getvalue())
    (root / "BBox_List_2017.csv").write_text(rows.getvalue())
