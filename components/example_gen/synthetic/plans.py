"""Which patients and films a synthetic set holds, before anything is drawn.

A plan is a list of `PlannedFilm`; its randomness comes from the seed alone, and so does each
film's, so that drawing can be spread over any number of workers.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from components.example_gen.synthetic.anatomy import Sex, View
from components.example_gen.synthetic.opacity import Pattern

# Class mix of the published pediatric set.
_NORMAL, _BACTERIAL, _VIRAL = 1583, 2780, 1493
_PEDIATRIC_TOTAL = _NORMAL + _BACTERIAL + _VIRAL

# Shares of NIH findings that are neither normal nor pneumonia.
_OTHER_SHARE = 0.08
_OTHER_FINDINGS = ("Fibrosis", "Atelectasis", "Infiltration", "Effusion", "Nodule", "Mass")
# What may stand beside one of those, so that each of the 14 occurs; some are rare, as they are.
_COMPANIONS = (
    ("", 0.22),
    ("Cardiomegaly", 0.18),
    ("Pleural_Thickening", 0.16),
    ("Pneumothorax", 0.16),
    ("Emphysema", 0.1),
    ("Consolidation", 0.08),
    ("Edema", 0.06),
    ("Hernia", 0.04),
)
# The table lists findings in alphabetical order.
_PNEUMONIA_FINDINGS = (
    ("Pneumonia", 0.5),
    ("Infiltration|Pneumonia", 0.26),
    ("Edema|Infiltration|Pneumonia", 0.09),
    ("Atelectasis|Pneumonia", 0.09),
    ("Consolidation|Pneumonia", 0.06),
)
# (width, height, spacing as the table spells it) of original films, by view.
_ORIGINALS: dict[View, tuple[tuple[int, int, str], ...]] = {
    "PA": (
        (2992, 2991, "0.14300000000000002"),
        (2500, 2048, "0.168"),
        (2048, 2500, "0.168"),
        (2021, 2021, "0.19431099999999998"),
    ),
    "AP": (
        (2500, 2048, "0.168"),
        (3056, 2544, "0.139"),
        (2500, 2048, "0.171"),
        (2048, 2500, "0.168"),
    ),
}
_NIH_PATIENTS = 30805


@dataclasses.dataclass(frozen=True)
class NihRow:
    """What the NIH table says about a film, spelled as in the file."""

    findings: str
    follow_up: int
    patient_id: int
    age: int
    sex: Sex
    view: View
    original_width: int
    original_height: int
    spacing: str


@dataclasses.dataclass(frozen=True)
class PlannedFilm:
    """One film to draw.

    Attributes:
        path: below the set's root, as the published set would name it.
        patient: number of the patient within the set, seeds the anatomy.
        film: number of the film within the patient, seeds the exposure.
        group: what the film counts as in `Synthesis.counts`.
        pneumonia: pattern of the opacity, None without one.
        nih: the row of the table, for the NIH set.
    """

    path: str
    patient: int
    film: int
    group: str
    pneumonia: Pattern | None
    nih: NihRow | None = None


def plan_pediatric(images: int, rng: np.random.Generator) -> list[PlannedFilm]:
    """Kaggle layout with the class mix of the published set; no patient in two folders."""
    normal = max(3, round(images * _NORMAL / _PEDIATRIC_TOTAL))
    viral = max(2, round(images * _VIRAL / _PEDIATRIC_TOTAL))
    totals = {"normal": normal, "bacteria": images - normal - viral, "virus": viral}
    films: list[PlannedFilm] = []
    patients = 0
    for group, total in totals.items():
        # As published: 8 validation films per class, none of them viral, and a tenth for test.
        val = 0 if group == "virus" else max(1, min(8, total // 20))
        test = max(1, round(0.11 * total))
        sizes = {"train": total - val - test, "val": val, "test": test}
        split_patients = {
            split: _patient_sizes(count, 0.75 if group == "normal" else 0.5, rng)
            for split, count in sizes.items()
        }
        count = sum(len(per_patient) for per_patient in split_patients.values())
        # Gaps, as in the published numbering; bacteria and virus numbers overlap.
        numbers = iter(rng.permutation(np.arange(1, int(1.25 * count) + 2))[:count].tolist())
        serial = 0
        for split, per_patient in split_patients.items():
            folder = f"{split}/{'NORMAL' if group == 'normal' else 'PNEUMONIA'}"
            for size in per_patient:
                number = next(numbers)
                prefix = "NORMAL2-IM" if rng.uniform() < 0.5 else "IM"
                for film in range(size):
                    serial += int(rng.integers(1, 3))
                    name = (
                        f"{prefix}-{number:04d}-{film + 1:04d}"
                        if group == "normal"
                        else f"person{number}_{group}_{serial}"
                    )
                    films.append(
                        PlannedFilm(
                            path=f"{folder}/{name}.jpeg",
                            patient=patients,
                            film=film,
                            group=group,
                            pneumonia=_pattern(group, rng),
                        )
                    )
                patients += 1
    return films


def plan_nih(images: int, pneumonia_share: float, rng: np.random.Generator) -> list[PlannedFilm]:
    """NIH layout; a patient's films follow one another, with findings that come and go."""
    findings = _findings(images, pneumonia_share, rng)
    sizes = _patient_sizes(images, 0.45, rng)
    numbers = np.sort(rng.choice(np.arange(1, _NIH_PATIENTS + 1), len(sizes), replace=False))
    remaining = iter(findings)
    films: list[PlannedFilm] = []
    for patient, (size, number) in enumerate(zip(sizes, numbers.tolist(), strict=True)):
        sex: Sex = "M" if rng.uniform() < 0.56 else "F"
        age = int(np.clip(rng.normal(47, 16.6), 18, 92))
        # Some of a patient's films are elsewhere, so the first follow-up need not be 0.
        follow_up = int(rng.integers(0, 4)) if rng.uniform() < 0.2 else 0
        for film in range(size):
            labels = next(remaining)
            # The view must not give the label away, so it is drawn without looking at it.
            view: View = "AP" if rng.uniform() < 0.4 else "PA"
            width, height, spacing = _ORIGINALS[view][int(rng.integers(len(_ORIGINALS[view])))]
            row = NihRow(labels, follow_up, number, age, sex, view, width, height, spacing)
            has_pneumonia = "Pneumonia" in labels
            films.append(
                PlannedFilm(
                    path=f"images/{number:08d}_{follow_up:03d}.png",
                    patient=patient,
                    film=film,
                    group=labels,
                    pneumonia=_pattern("bacteria", rng) if has_pneumonia else None,
                    nih=row,
                )
            )
            follow_up += 1
            age += int(rng.uniform() < 0.3)
    return films


def _pattern(group: str, rng: np.random.Generator) -> Pattern | None:
    interstitial_share = {"normal": 0.0, "bacteria": 0.15, "virus": 0.75}[group]
    interstitial = rng.uniform() < interstitial_share
    if group == "normal":
        return None
    return "interstitial" if interstitial else "consolidation"


def _patient_sizes(films: int, single: float, rng: np.random.Generator) -> list[int]:
    """Films per patient that add up to `films`; a share of about `single` has one only."""
    sizes: list[int] = []
    while (left := films - sum(sizes)) > 0:
        sizes.append(min(left, 8, int(rng.geometric(single))))
    return sizes


def _findings(images: int, pneumonia_share: float, rng: np.random.Generator) -> list[str]:
    pneumonia = round(images * pneumonia_share)
    other = round(images * _OTHER_SHARE)
    findings = _draw(_PNEUMONIA_FINDINGS, pneumonia, rng)
    first = [str(name) for name in rng.choice(_OTHER_FINDINGS, other)]
    # From a stream of their own: they are names only, and must not change what is drawn.
    beside = _draw(_COMPANIONS, other, rng.spawn(1)[0])
    findings += ["|".join(sorted(filter(None, pair))) for pair in zip(first, beside, strict=True)]
    findings += ["No Finding"] * (images - len(findings))
    return [findings[index] for index in rng.permutation(images)]


def _draw(shares: Sequence[tuple[str, float]], count: int, rng: np.random.Generator) -> list[str]:
    """Names by their shares."""
    names = [name for name, _ in shares]
    return [str(name) for name in rng.choice(names, count, p=[share for _, share in shares])]
