"""From maps to figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from components.explanation_probe import faithfulness, localisation, sanity
from components.explanation_probe.comparison import bootstrapped_mean, compare
from components.explanation_probe.faithfulness import DELETION, HEAT, INSERTION, Curves
from components.explanation_probe.localisation import MODEL, BoxedFilm
from components.explanation_probe.measures import (
    Faithfulness,
    FilmRow,
    Localisation,
    Sanity,
    Stage,
)
from components.explanation_probe.sampling import Chosen
from components.explanation_probe.settings import ExplanationProbeSettings
from components.statistics.interval import Interval

Heat = NDArray[np.floating]


def measure_localisation(
    chosen: Chosen,
    maps: Mapping[str, Heat],
    logits: Mapping[str, float],
    settings: ExplanationProbeSettings,
    name: str,
) -> tuple[list[Localisation], list[FilmRow]]:
    """Hold the maps of one finding against its boxes, dataset by dataset.

    Args:
      chosen: the films.
      maps: of the films with boxes, by sha256: float [h, w].
      logits: likewise.
      settings: of the node.
      name: of the finding, as the model calls it.

    Returns:
      The figures of each dataset that has boxes, in any split; and what each film gave.
    """
    figures, rows = [], []
    for dataset in sorted({film.dataset for film in chosen.known}):
        films = [film for film in chosen.boxed if film.dataset == dataset]
        known = [film for film in chosen.known if film.dataset == dataset]
        patients = [film.patient for film in films]
        several = len(set(patients)) > 1
        found: Mapping[str, Mapping[str, NDArray[np.float64]]] = {}
        if several:
            of_films = [maps[film.sha256] for film in films]
            found = localisation.localise(films, of_films, known, tolerance=settings.tolerance)
        figures.append(
            Localisation(
                dataset=dataset,
                finding=name,
                splits=dict(Counter(film.split for film in films)),
                films=len(films),
                patients=len(set(patients)),
                prior_patients=len({film.patient for film in known}),
                measures=tuple(
                    compare(
                        measure,
                        values[MODEL],
                        {floor: values[floor] for floor in values if floor != MODEL},
                        patients,
                    )
                    for measure, values in found.items()
                ),
                unmeasured="" if several else _unmeasured(films, known, settings),
            )
        )
        rows += [
            FilmRow(
                sha256=film.sha256,
                dataset=dataset,
                split=film.split,
                finding=name,
                logit=logits[film.sha256],
                values=localisation.table(found, number),
            )
            for number, film in enumerate(films)
        ]
    return figures, rows


def measure_faithfulness(
    curves: Sequence[Curves], patients: Sequence[str], name: str
) -> Faithfulness:
    """Sum up the curves of films.

    Args:
      curves: of N films, at least one.
      patients: of these films, [N].
      name: of the finding, as the model calls it.
    """
    several = len(set(patients)) > 1
    areas = []
    for what, small_is_good in ((DELETION, True), (INSERTION, False)):
        values = {
            order: np.array([faithfulness.area(getattr(one, what)[order]) for one in curves])
            for order in faithfulness.ORDERS
        }
        if several:
            heat = values.pop(HEAT)
            areas.append(compare(what, heat, values, patients, smaller_is_better=small_is_good))
    return Faithfulness(
        finding=name,
        films=len(curves),
        patients=len(set(patients)),
        deletion=_mean([one.deletion for one in curves]),
        insertion=_mean([one.insertion for one in curves]),
        areas=tuple(areas),
    )


def measure_sanity(
    own: Sequence[Heat],
    randomised: Mapping[str, Iterable[Heat]],
    patients: Sequence[str],
    name: str,
) -> Sanity:
    """Compare the maps of a network with those of the same one when it forgot what it learnt.

    Args:
      own: maps of N films, of two patients or more, float [h, w] each.
      randomised: maps of the same films by what was randomised, in this order.
      patients: of the films, [N].
      name: of the finding, as the model calls it.
    """
    stages = tuple(
        Stage(
            randomised=stage,
            rank_correlation=_alike(sanity.rank_correlation, own, maps, patients),
            ssim=_alike(sanity.ssim, own, maps, patients),
            without_heat=sum(not one.any() for one in maps),
        )
        for stage, maps in randomised.items()
    )
    between = bootstrapped_mean(sanity.between_films(own), patients)
    passed, verdict = _verdict(stages, len(own))
    return Sanity(
        finding=name,
        films=len(own),
        between_films=between,
        stages=stages,
        passed=passed,
        sentence=f"{verdict} Maps of different films have a rank correlation of {between}.",
    )


def _verdict(stages: Sequence[Stage], films: int) -> tuple[bool, str]:
    """By every stage at which most films still have heat: with nothing, nothing is alike."""
    warm = [stage for stage in stages if 2 * stage.without_heat < films]
    if not warm:
        return False, "The maps of the randomised network have no heat: nothing can be compared."
    failed = [stage for stage in warm if stage.rank_correlation.upper >= sanity.MOST_ALIKE]
    told = failed[-1] if failed else warm[-1]
    found = told.rank_correlation
    passed = not failed
    meaning = (
        "the maps depend on what the network’s weights are"
        if passed
        else "the maps are not shown to depend on the network’s weights, rather than on the film "
        "or the architecture alone"
    )
    cold = "" if warm[-1] is stages[-1] else "; of more layers, maps have no heat"
    return passed, (
        f"With {told.randomised} randomised, maps have a rank correlation of {found} with the "
        f"model’s own, where {sanity.MOST_ALIKE:g} would be too much: {meaning}{cold}."
    )


def _unmeasured(
    films: Sequence[BoxedFilm], known: Sequence[BoxedFilm], settings: ExplanationProbeSettings
) -> str:
    where = ", ".join(settings.splits)
    if films:
        return f"all films with boxes in {where} are of one patient: an interval takes two"
    return (
        f"no film in {where} has boxes, {len(known)} in other splits have: "
        "explanation_probe.splits may name them, too"
    )


def _alike(
    similarity: sanity.Similarity,
    own: Sequence[Heat],
    others: Iterable[Heat],
    patients: Sequence[str],
) -> Interval:
    found = [similarity(one, other) for one, other in zip(own, others, strict=True)]
    return bootstrapped_mean(np.array(found), patients)


def _mean(curves: Sequence[Mapping[str, NDArray[np.float64]]]) -> dict[str, tuple[float, ...]]:
    return {
        order: tuple(np.mean([one[order] for one in curves], axis=0).tolist())
        for order in faithfulness.ORDERS
    }
