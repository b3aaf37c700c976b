"""Whether heat lies where experts drew boxes, and whether that takes a model at all.

Three measures, each between 0 and 1, and larger is better:

- pointing game: is the hottest place of the map in a box? Zhang et al., "Top-down Neural Attention
  by Excitation Backprop", IJCV 2018, arXiv:1608.00507. They count what is within 15 pixels of the
  object on films of about 500, which is 0.03 of the side.
- IoU: what the hot part of the map and the boxes have in common, as a share of what either covers.
  Hot is above a share of the map's own maximum. That share is chosen on films of other patients,
  the one with the largest mean there; as Choe et al., "Evaluating Weakly Supervised Object
  Localization Methods Right", CVPR 2020, arXiv:2001.07437, a threshold is never tuned on the film
  that is measured.
- energy: the share of all heat that lies in the boxes. Wang et al., "Score-CAM", CVPR workshops
  2020, arXiv:1910.01279, who call it the energy-based pointing game.

Three floors, which look at no film, get the same treatment:

- random: a place drawn evenly from all of the film. In expectation it hits as often as the boxes
  (with the tolerance) cover the film; even heat has the share of its energy in the boxes that they
  cover, and of all random maps the one that is hot everywhere has the largest IoU: again that
  share.
- centre: heat that falls from the centre of the film, as a normal distribution with a standard
  deviation of a quarter of the side.
- prior: the mean of the boxes of all other patients. It knows where this finding tends to be, which
  is most of what a map of the lungs needs to look right.

A map without heat points nowhere: it hits nothing, covers nothing, and has no energy in a box.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from components.explanation_probe.boxes import RASTER, Box, box_mask, enlarge

POINTING, IOU, ENERGY = "pointing game", "IoU", "energy"
MEASURES = (POINTING, IOU, ENERGY)

MODEL = "model"
RANDOM, CENTRE, PRIOR = "random", "centre", "prior"

# Shares of the maximum above which a map may be called hot.
_THRESHOLDS = np.linspace(0.05, 0.95, 19)
_CENTRE_SPREAD = 0.25

Values = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class BoxedFilm:
    """A film that shows a finding, with the boxes that mark it.

    Attributes:
      sha256: of the film.
      patient: whose it is.
      dataset: that it is of.
      split: likewise.
      boxes: of this finding, at least one.
    """

    sha256: str
    patient: str
    dataset: str
    split: str
    boxes: tuple[Box, ...]


def localise(
    films: Sequence[BoxedFilm],
    maps: Sequence[NDArray[np.floating]],
    known: Sequence[BoxedFilm],
    *,
    tolerance: float,
) -> dict[str, dict[str, Values]]:
    """What model and floors reach on each film.

    Args:
      films: N of them, of one dataset and finding.
      maps: of these films, float [h, w] each, at least 0.
      known: films whose boxes the prior is fitted on; a film never by those of its own patient.
      tolerance: of the pointing game, as a fraction of the side.

    Returns:
      By measure and by map (`model`, `random`, `centre`, `prior`) float64 [N]. There is no `prior`
      where only one patient has boxes.
    """
    patients = np.array([film.patient for film in films])
    masks = np.stack([box_mask(film.boxes) for film in films])
    covered = masks.mean(axis=(1, 2))
    wider = np.stack([box_mask(film.boxes, tolerance=tolerance) for film in films])
    found = {
        POINTING: {RANDOM: wider.mean(axis=(1, 2))},
        IOU: {RANDOM: covered},
        ENERGY: {RANDOM: covered},
    }
    centre = centre_map()
    heats: dict[str, Sequence[NDArray[np.floating]]] = {MODEL: maps, CENTRE: [centre] * len(films)}
    priors = location_priors(patients.tolist(), known)
    if priors is not None:
        heats[PRIOR] = priors
    for name, heat in heats.items():
        found[POINTING][name] = np.array(
            [pointing(one, film.boxes, tolerance) for one, film in zip(heat, films, strict=True)]
        )
        overlaps, energies = [], []
        for one, mask in zip(heat, masks, strict=True):
            pixels = enlarge(one)
            overlaps.append(overlap(pixels, mask))
            energies.append(energy(pixels, mask))
        found[IOU][name] = at_tuned_threshold(np.stack(overlaps), patients)
        found[ENERGY][name] = np.array(energies)
    return found


def pointing(heat: NDArray[np.floating], boxes: Sequence[Box], tolerance: float) -> float:
    """Whether the centre of the hottest cell hits; where several are hottest, their share."""
    if heat.max() <= 0:
        return 0.0
    hits = box_mask(boxes, heat.shape, tolerance=tolerance)
    return float(hits[heat == heat.max()].mean())


def overlap(pixels: NDArray[np.floating], mask: NDArray[np.bool_]) -> Values:
    """IoU of a map with the boxes at each threshold, float64 [T]; both are [RASTER, RASTER]."""
    if pixels.max() <= 0:
        return np.zeros(len(_THRESHOLDS))
    hot = pixels / pixels.max() >= _THRESHOLDS[:, np.newaxis, np.newaxis]
    common = (hot & mask).sum(axis=(1, 2))
    return common / (hot | mask).sum(axis=(1, 2))


def energy(pixels: NDArray[np.floating], mask: NDArray[np.bool_]) -> float:
    """The share of a map's heat in the boxes; both are [RASTER, RASTER]."""
    total = pixels.sum(dtype=np.float64)
    return float(pixels[mask].sum(dtype=np.float64) / total) if total > 0 else 0.0


def at_tuned_threshold(overlaps: Values, patients: NDArray[np.str_]) -> Values:
    """The IoU of each film at the threshold that is best on the films of other patients.

    Args:
      overlaps: float64 [N, T], at each of T thresholds.
      patients: of each film, [N].

    Returns:
      float64 [N]. Where there is no other patient, the middle threshold is taken.
    """
    found = np.empty(len(overlaps))
    for patient in np.unique(patients):
        own = patients == patient
        others = overlaps[~own]
        best = int(others.mean(axis=0).argmax()) if len(others) else overlaps.shape[1] // 2
        found[own] = overlaps[own, best]
    return found


def centre_map() -> Values:
    """Heat that falls from the centre of the film, float64 [RASTER, RASTER]."""
    # An even number of pixels has no middle one: the four around it are equally hot.
    at = ((np.arange(RASTER) + 0.5) / RASTER - 0.5) / _CENTRE_SPREAD
    return np.exp(-(at[:, np.newaxis] ** 2 + at**2) / 2)


def location_priors(patients: Sequence[str], known: Sequence[BoxedFilm]) -> list[Values] | None:
    """For each film the mean of the boxes of other patients, each patient counting once.

    Args:
      patients: of the films that are measured, [N].
      known: films with boxes, of this dataset and finding.

    Returns:
      N maps, float64 [RASTER, RASTER]; None where a film has no other patient's boxes.
    """
    by_patient: dict[str, list[NDArray[np.bool_]]] = {}
    for film in known:
        by_patient.setdefault(film.patient, []).append(box_mask(film.boxes))
    means = {patient: np.mean(masks, axis=0) for patient, masks in by_patient.items()}
    total = sum(means.values(), np.zeros((RASTER, RASTER)))
    priors: dict[str, Values] = {}
    for patient in dict.fromkeys(patients):
        others = len(means) - (patient in means)
        if not others:
            return None
        own = means.get(patient, 0.0)
        # Rounding must leave no heat where no box was.
        priors[patient] = np.round((total - own) / others, 9)
    return [priors[patient] for patient in patients]


def table(found: Mapping[str, Mapping[str, Values]], number: int) -> dict[str, dict[str, float]]:
    """What one film reached, by measure and map."""
    return {
        measure: {name: float(values[number]) for name, values in by_map.items()}
        for measure, by_map in found.items()
    }
