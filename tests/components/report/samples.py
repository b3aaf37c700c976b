"""Artifacts as a run leaves them, made without one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit

from components.evaluator.judgement import (
    Baseline,
    Confusion,
    Gate,
    Judgement,
    Performance,
    SlicePerformance,
)
from components.example_gen.record import PATHOLOGIES
from components.explanation_probe.comparison import Comparison
from components.explanation_probe.measures import (
    Faithfulness,
    Localisation,
    Measures,
    Sanity,
    Stage,
)
from components.report.curves import draw_curves
from components.report.figures import Explanations, Figures, Lineage, Source
from components.scorer.scores import Scores
from components.statistics import proportions, roc
from components.statistics.calibration import brier
from components.statistics.interval import Interval
from components.trainer.calibration_error import expected_calibration_error

PREVALENCE = {"pediatric": 0.05, "nih": 0.05}
MALICIOUS = "<img src=x onerror=\"document.title='owned'\">"
THRESHOLD = 0.42


def scores(
    datasets: Mapping[str, int],
    *,
    outputs: Sequence[str] = ("pneumonia",),
    seed: int = 1,
    skill: float = 3.0,
    with_last: bool = False,
    etiologies: Sequence[str] = ("bacteria", "virus"),
) -> Scores:
    """Scores of a calibrated model.

    Args:
      datasets: images of each.
      outputs: of the model.
      seed: another one, other images.
      skill: distance of the classes in logits.
      with_last: whether there was a blessed model before.
      etiologies: of the pediatric positives.
    """
    rng = np.random.default_rng(seed)
    n, k = sum(datasets.values()), len(outputs)
    dataset = np.repeat(list(datasets), list(datasets.values()))
    prevalence = np.where(dataset == "pediatric", 0.7, 0.15)[:, None] / np.linspace(1, 3, k)
    labels = (rng.random((n, k)) < prevalence).astype(np.int64)
    own = np.where(dataset == "pediatric", skill, 0.4 * skill)[:, None]
    noise = rng.normal(size=(n, k))
    # Two normals of unit variance: what follows are their true probabilities.
    logits = own * (own * (labels - 0.5) + noise) + np.log(prevalence / (1 - prevalence))
    last = logits + rng.normal(0, 1.2, size=(n, k))
    nih = dataset == "nih"
    positive = labels[:, 0] == 1
    etiology = np.where(positive, rng.choice(list(etiologies), n), "none")
    return Scores(
        outputs=tuple(outputs),
        sha256=np.array([f"{number:064x}" for number in range(n)]),
        filenames=np.array([f"film {number}.png" for number in range(n)]),
        patients=np.array([f"p{number // 3}" for number in range(n)]),
        datasets=dataset,
        labels=labels,
        probabilities=expit(logits),
        decisions=(expit(logits) >= THRESHOLD).astype(np.int64),
        last_probabilities=expit(last) if with_last else None,
        features={
            "etiology": np.where(nih, "", etiology),
            "sex": np.where(nih, rng.choice(["F", "M"], n), ""),
            "view_position": np.where(nih, rng.choice(["AP", "PA"], n), ""),
            "age_group": np.where(
                nih, rng.choice(["under 18", "18-40", "40-60", "60-80", "80+"], n), ""
            ),
        },
    )


def judgement(of: Scores, *, blessed: bool = False, report_only: bool = False) -> Judgement:
    """A judgement of test scores, refused by the shortcut gate unless it is blessed."""
    names = sorted(set(of.datasets.tolist()))
    measured = _slices(of)
    gates: list[Gate] = []
    baselines: list[Baseline] = []
    for name in names:
        own = of.where(of.datasets == name)
        column, labels = own.probabilities[:, 0], own.labels[:, 0]
        gates += _gates(name, blessed)
        rng = np.random.default_rng(0)
        for other, noise in (("16x16 thumbnails", 0.2), ("image metadata", 0.6), ("border", 1.0)):
            worse = column + rng.normal(0, noise, len(column))
            compared = roc.compare_aucs(labels, column, worse)
            baselines.append(
                Baseline(
                    name=other,
                    dataset=name,
                    auc=roc.auc_interval(labels, worse),
                    lift=compared.difference,
                    p_value=compared.p_value,
                )
            )
        if own.last_probabilities is not None:
            compared = roc.compare_aucs(labels, column, own.last_probabilities[:, 0])
            baselines.append(
                Baseline(
                    name="last blessed",
                    dataset=name,
                    auc=roc.auc_interval(labels, own.last_probabilities[:, 0]),
                    lift=compared.difference,
                    p_value=compared.p_value,
                )
            )
    return Judgement(
        blessed=blessed,
        report_only=report_only,
        gates=tuple(gates),
        prevalence={name: PREVALENCE[name] for name in names},
        splits={"test": tuple(measured)},
        too_small={"test": 2},
        baselines=tuple(baselines),
    )


def _slices(of: Scores) -> list[SlicePerformance]:
    found = [_measure(of, {})]
    for name in sorted(set(of.datasets.tolist())):
        found.append(_measure(of.where(of.datasets == name), {"dataset": name}))
    for feature, values in of.features.items():
        for value in sorted(set(values.tolist()) - {""}):
            found.append(_measure(of.where(values == value), {feature: value}))
    return found


def _measure(of: Scores, values: Mapping[str, str]) -> SlicePerformance:
    findings = tuple(_measure_one(of, column) for column in range(len(of.outputs)))
    aucs = [one.auc for one in findings if one.auc]
    macro = None
    if len(of.outputs) > 1 and aucs:
        means = {
            end: float(np.mean([getattr(one, end) for one in aucs]))
            for end in ("estimate", "lower", "upper")
        }
        macro = Interval(**means, method="mean")
    return SlicePerformance(slice=values, n=len(of), macro_auc=macro, findings=findings)


def _measure_one(of: Scores, column: int) -> Performance:
    labels, decided = of.labels[:, column], of.decisions[:, column]
    probabilities = of.probabilities[:, column]
    tp, fp, tn, fn = (
        int(((labels == label) & (decided == decision)).sum())
        for label, decision in ((1, 1), (0, 1), (0, 0), (1, 0))
    )
    both = bool(tp + fn and tn + fp)
    found = brier(probabilities, labels), expected_calibration_error(probabilities, labels)
    return Performance(
        finding=of.outputs[column],
        n=len(of),
        patients=len(set(of.patients.tolist())),
        positives=tp + fn,
        auc=roc.auc_interval(labels, probabilities) if both else None,
        auc_by_patient=None,
        average_precision=(
            interval(roc.average_precision(labels, probabilities), 0.02) if both else None
        ),
        confusion=Confusion(
            true_positives=tp, false_positives=fp, true_negatives=tn, false_negatives=fn
        ),
        sensitivity=proportions.wilson(tp, tp + fn) if tp + fn else None,
        specificity=proportions.wilson(tn, tn + fp) if tn + fp else None,
        ppv=proportions.wilson(tp, tp + fp) if both and tp + fp else None,
        npv=proportions.wilson(tn, tn + fn) if both and tn + fn else None,
        ppv_at_prevalence=(
            proportions.ppv_at(
                0.05,
                true_positives=tp,
                false_positives=fp,
                true_negatives=tn,
                false_negatives=fn,
            )
            if both and tp + fp
            else None
        ),
        f1=2 * tp / (2 * tp + fp + fn) if both else None,
        balanced_accuracy=(tp / (tp + fn) + tn / (tn + fp)) / 2 if both else None,
        brier=interval(found[0], 0.005),
        ece=interval(found[1], 0.005),
    )


def _gates(dataset: str, blessed: bool) -> list[Gate]:
    return [
        Gate(
            name="auc",
            dataset=dataset,
            verdict="passed",
            sentence=f"{dataset}: the lower bound of the AUC is 0.951, and 0.900 is asked for.",
            value=0.951,
            limit=0.9,
        ),
        Gate(
            name="shortcut",
            dataset=dataset,
            verdict="passed" if blessed else "refused",
            sentence=f"{dataset}: the lift over 16x16 thumbnails is 0.004 (-0.006 to 0.014), and "
            "its lower bound must be above 0.010.",
            value=-0.006,
            limit=0.01,
        ),
        Gate(
            name="subgroups",
            dataset=dataset,
            verdict="not judged",
            sentence=f"{dataset}: no two subgroups have the 20 positives that are asked for.",
            value=None,
            limit=0.1,
        ),
    ]


def history(epochs: int, seed: int = 0) -> dict[str, tuple[float, ...]]:
    """A training that overfits in the end."""
    rng = np.random.default_rng(seed)
    x = np.arange(epochs)
    falling = 0.15 + 0.5 * np.exp(-x / 4)
    rising = falling + 0.03 + 0.0006 * x**2
    noise = rng.normal(0, 0.005, epochs)
    return {
        "loss": tuple(falling.tolist()),
        "val_loss": tuple((rising + noise).tolist()),
        "auc": tuple((1 - falling / 3).tolist()),
        "val_auc": tuple((1 - rising / 3 - noise).tolist()),
    }


def contract(outputs: Sequence[str] = ("pneumonia",), weights: str = "none") -> dict[str, Any]:
    """What the Trainer leaves beside the model."""
    several = len(outputs) > 1
    return {
        "task": "multilabel" if several else "binary",
        "class_names": list(outputs) if several else ["normal", "pneumonia"],
        "outputs": [
            {
                "name": name,
                "calibration": {"method": "platt", "reason": None, "prior_shift": -0.9,
                                "slope": 0.8, "intercept": 0.1, "curve": [],
                                "prevalence_shift": 0.0},
                "operating_point": {"threshold": THRESHOLD, "as_asked": True,
                                    "chosen_by": "sensitivity 0.9 on validation",
                                    "sensitivity": 0.903, "specificity": 0.911,
                                    "positives": 312, "negatives": 148},
                "calibration_error": {"ece_before": 0.12, "ece_after": 0.024, "images": 460,
                                      "folds": 5, "bins": 10},
            }
            for name in outputs
        ],
        "precision": "float32",
        "backbone": "DenseNet121",
        "weights": weights,
        "weights_sha256": "9ce7753aff7280869d0c58b67d45a5cdc071e258c7de995ab6936040ea204187",
        "image_size": 224,
        "preprocessing": "grey, 224x224 antialiased, float32 on [0, 1], 3 channels",
        "code": "0123456789abcdef",
        "training": {
            "seed": 1,
            "trainable": "head",
            "imbalance": {"method": "class_weights", "positives": dict.fromkeys(outputs, 0.73),
                          "positives_seen": dict.fromkeys(outputs, 0.5)},
            "epochs": {"head": 30},
            "validation_auc": dict.fromkeys(outputs, 0.98),
            "images": {"train": {"normal": 947, "pneumonia": 2561},
                       "val": {"normal": 201, "pneumonia": 677}},
            "images_sha256": {"train": "a" * 64, "val": "b" * 64},
            "warm_start": False,
        },
        "intended_use": "Research and education: telling pneumonia from normal on frontal chest "
        "X-rays like those it was trained on. Not a diagnostic device; not validated for any "
        "clinical use.",
    }  # fmt: skip


def ingest(datasets: Sequence[str]) -> dict[str, Any]:
    """The account that an ingest gives of itself."""
    fates = {"kept": 5200, "quarantined": 12, "bad row": 0, "duplicate": 26, "not on disk": 0,
             "out of scope": 0, "surplus": 0}  # fmt: skip
    counts = {"images": 1000, "patients": 700, "classes": {"normal": 300, "pneumonia": 700},
              "findings": {}}  # fmt: skip
    return {
        "read": 5238 * len(datasets),
        "kept": 5200 * len(datasets),
        "labels": "pneumonia",
        "class_names": ["normal", "pneumonia"],
        "sources": {},
        "split": {"method": "by_patient", "salt": "cxr"},
        "quality": {},
        "fates": {name: count * len(datasets) for name, count in fates.items()},
        "left_out": {"exact duplicate of another image": 26, MALICIOUS: 12},
        "left_out_files": {MALICIOUS: ["/films/secret.png"]},
        "datasets": {name: {"read": 5238, "fates": fates} for name in datasets},
        "splits": {split: dict.fromkeys(datasets, counts) for split in ("train", "val", "test")},
        "unsampled": {},
        "ignored_values": {},
        "suspects": {},
        "suspect_files": {},
        "duplicates": {},
        "leakage": {"patients": 0, "exact_duplicates": 0, "near_duplicates": 0},
    }


def figures(
    datasets: Mapping[str, int] | None = None,
    *,
    outputs: Sequence[str] = ("pneumonia",),
    blessed: bool = False,
    **changes: Any,
) -> Figures:
    """All that the pages are made of."""
    of = scores(datasets or {"pediatric": 689}, outputs=outputs, **changes)
    names = sorted(set(of.datasets.tolist()))
    return Figures(
        lineage=Lineage(
            experiment="pediatric",
            description="Pneumonia against normal in children",
            run_id="2026-03-01T12:00:00",
            config="c0ffee" * 4,
            code={"trainer": "0123456789abcdef", "scorer": "fedcba9876543210"},
            versions={"cxr": "0.1.0", "tensorflow": "2.21.0"},
            artifacts={"model": Source(id=20, uri="/runs/pediatric/artifacts/Trainer/model/20")},
        ),
        judgement=judgement(of, blessed=blessed),
        curves=draw_curves(of),
        contract=contract(outputs),
        history={"head": history(30)},
        ingest={k: v for k, v in ingest(names).items() if not k.endswith("_files")},
        problems=("The val split of pediatric has no viral case.",),
        notes=("3 images are rotated.",),
        matrix=matrix(names) if len(names) > 1 else None,
        robustness=robustness(names) if len(names) > 1 else None,
        probe={"sees": {"border": "the outermost tenth of the film"}},
        explanations=Explanations(films=689, cases=12, reference=0.81),
        measures=measures(names, outputs),
    )


FINDINGS = PATHOLOGIES


def matrix(datasets: Sequence[str]) -> dict[str, Any]:
    """What CrossDatasetMatrix writes."""
    learnt = [[name] for name in datasets] + [list(datasets)]
    found = {"lower": 0.6, "upper": 0.97, "method": "DeLong", "level": 0.95}
    return {
        "split": "test",
        "datasets": list(datasets),
        "rows": [
            {
                "trained_on": names,
                "images": 3000,
                "positives": 400,
                "cells": [
                    {"tested_on": name, "n": 300, "positives": 40,
                     "auc": found | {"estimate": 0.93 if name in names else 0.64}}
                    for name in datasets
                ],
            }
            for names in learnt
        ],
        "pooled": {
            "n": 689,
            "auc": found | {"estimate": 0.912},
            "dataset_identity": found | {"estimate": 0.871},
            "lift": found | {"estimate": 0.041, "lower": 0.02, "upper": 0.06},
        },
    }  # fmt: skip


def robustness(datasets: Sequence[str]) -> dict[str, Any]:
    """What Robustness writes."""
    kinds = ("contrast", "brightness", "noise", "blur", "jpeg_quality", "rotation")
    asked = [("none", 0), *((kind, severity) for kind in kinds for severity in (1, 2, 3))]
    return {
        "figures": [
            {"corruption": kind, "severity": severity, "level": 0.0, "dataset": name,
             "finding": "pneumonia", "n": 300, "positives": 40,
             "auc": 0.97 - 0.03 * severity, "ece": 0.03 + 0.05 * severity}
            for kind, severity in asked
            for name in datasets
        ]
    }  # fmt: skip


def measures(datasets: Sequence[str], outputs: Sequence[str]) -> Measures:
    """What ExplanationProbe writes: only the NIH films have boxes."""
    names = [name for name in ("Pneumonia", "Mass", "pneumonia") if name in outputs]
    return Measures(
        method="grad_cam",
        layer="",
        grid=(7, 7),
        splits=("train", "test"),
        tolerance=0.03,
        seed=1,
        localisation=tuple(
            _localisation(name, films) for name, films in zip(names, (24, 3), strict=False)
            if "nih" in datasets
        ),
        without_boxes=tuple(name for name in datasets if name != "nih"),
        faithfulness=tuple(
            Faithfulness(
                finding=name,
                films=32,
                patients=30,
                deletion={"heat": (0.9, 0.5, 0.2), "random": (0.9, 0.7, 0.2),
                          "centre": (0.9, 0.8, 0.2)},
                insertion={"heat": (0.2, 0.7, 0.9), "random": (0.2, 0.6, 0.9),
                           "centre": (0.2, 0.4, 0.9)},
                areas=(
                    _comparison("deletion", 0.53, {"random": 0.63, "centre": 0.68}, 0.1),
                    _comparison("insertion", 0.63, {"random": 0.58, "centre": 0.48}, 0.05),
                ),
            )
            for name in names
        ),
        sanity=tuple(
            Sanity(
                finding=name,
                films=16,
                between_films=interval(0.22),
                stages=tuple(
                    Stage(randomised=part, rank_correlation=interval(0.1, 0.05),
                          ssim=interval(0.3, 0.05), without_heat=2)
                    for part in ("head", "head and last block", "all layers")
                ),
                passed=True,
                sentence="With all layers randomised, maps are others.",
            )
            for name in names
        ),
    )  # fmt: skip


def _localisation(finding: str, films: int) -> Localisation:
    floors = {"random": 0.15, "centre": 0.05, "prior": 0.4}
    return Localisation(
        dataset="nih",
        finding=finding,
        splits={"train": films - 2, "test": 2},
        films=films,
        patients=films,
        prior_patients=films,
        measures=(
            _comparison("pointing game", 0.71, floors, 0.31),
            _comparison("IoU", 0.33, floors, -0.07),
            _comparison("energy", 0.45, floors, 0.05),
        ),
    )


def _comparison(measure: str, model: float, floors: Mapping[str, float], lift: float) -> Comparison:
    known = {name: interval(value, 0.06) for name, value in floors.items()}
    best = min(floors, key=lambda name: abs(abs(model - floors[name]) - abs(lift)))
    return Comparison(
        measure=measure, model=interval(model, 0.08), floors=known, best_floor=best,
        lift=interval(lift, 0.06),
    )  # fmt: skip


def interval(estimate: float, half: float = 0.01) -> Interval:
    """An interval of some width."""
    return Interval(estimate=estimate, lower=estimate - half, upper=estimate + half, method="m")


def write_json(path: Path, content: Any) -> None:
    """A file of an artifact."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
