"""Reports with their pictures, for the tests of the page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from components.grad_cam import pictures
from components.grad_cam.cases import Rule, ScoredCase, SelectedCase, count_outcomes
from components.grad_cam.contract import ModelContract
from components.grad_cam.films import ExplainedFilm
from components.grad_cam.report import ExplainedCase, Report, SlicePerformance, render_html
from components.grad_cam.settings import GradCamSettings

CONTRACT = ModelContract(
    output=0,
    name="pneumonia",
    class_names=("normal", "pneumonia"),
    threshold=0.4,
    layer="",
    method="grad_cam",
    grid=(7, 7),
    reference=0.05,
    opacity=0.6,
)
MALICIOUS = '"><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7*7 }}.png'


def explained(number: int = 1, filename: str = "film.png", **changes: Any) -> ExplainedCase:
    probability = changes.pop("probability", 0.1234)
    case = ScoredCase(
        sha256=f"{number:064x}",
        filename=filename,
        dataset=changes.pop("dataset", "pediatric"),
        label=changes.pop("label", 1),
        probability=probability,
        decision=int(probability >= CONTRACT.threshold),
        features=changes.pop("features", {}),
    )
    values: dict[str, Any] = {
        "number": number,
        "size": (120, 80),
        "heatmap": np.eye(7).tolist(),
        "peak": 0.031,
        "place": "lower left",
        "boxes": (),
        "details": {"age_years": ("5",), "findings": ("Pneumonia",)},
    }
    return ExplainedCase(
        selected=SelectedCase(case, changes.pop("rule", Rule.FALSE_NEGATIVE)),
        film=ExplainedFilm(**values | changes),
    )


def a_report(*shown: ExplainedCase, **changes: Any) -> Report:
    values: dict[str, Any] = {
        "split": "test",
        "model": "0123456789abcdef",
        "contract": CONTRACT,
        "settings": GradCamSettings(),
        "sources": {"examples": "/runs/examples"},
        "counts": count_outcomes(one.selected.case for one in shown),
        "slices": (),
        "not_found": (),
        "cases": shown,
    }
    return Report(**values | changes)


def performance(n: int, **where: str) -> SlicePerformance:
    return SlicePerformance(
        slice=where, n=n, positives=n // 2, auc=0.912, sensitivity=0.8, specificity=None
    )


def write(report: Report, folder: Path) -> Path:
    """The page beside real pictures."""
    for name in pictures.FOLDERS:
        (folder / name).mkdir(parents=True, exist_ok=True)
    for case in report.cases:
        write_pictures(case.film, folder)
    page = folder / "report.html"
    page.write_text(render_html(report), "utf-8")
    return page


def write_pictures(film: ExplainedFilm, folder: Path) -> None:
    width, height = film.size
    grey = np.full((height, width), 90, np.uint8)
    heat = np.asarray(film.heatmap, np.float32)
    contents = {
        pictures.film_file(film.number): pictures.film_jpeg(grey),
        pictures.heat_file(film.number): pictures.heat_png(heat, grey.shape),
        pictures.overlay_file(film.number): pictures.overlay_png(
            grey, heat, 0.6, boxes=film.boxes, ends=("0", "1")
        ),
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
