"""From a network and records of films to the figures: each film goes through it once for its map.

Memory holds the maps of all films, and the pixels of those alone that are taken apart.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from components import progress
from components.explanation_probe import films, probe
from components.explanation_probe.faithfulness import Curves, Values, take_apart
from components.explanation_probe.measures import (
    Faithfulness,
    FilmRow,
    Localisation,
    Measures,
    Sanity,
)
from components.explanation_probe.network import Array, Network
from components.explanation_probe.sampling import Chosen, choose, surest
from components.explanation_probe.settings import ExplanationProbeSettings
from components.trainer.exported_classifier import ContractOutput


@dataclasses.dataclass
class _Looked:
    """What the network gave for the films of one finding, by sha256.

    Attributes:
      chosen: the films.
      output: of the network.
      maps: float32 [h, w].
      logits: uncalibrated.
    """

    chosen: Chosen
    output: ContractOutput
    maps: dict[str, Array] = dataclasses.field(default_factory=dict)
    logits: dict[str, float] = dataclasses.field(default_factory=dict)


def measure(
    network: Network,
    outputs: Mapping[str, ContractOutput],
    files: Mapping[str, Sequence[str]],
    settings: ExplanationProbeSettings,
) -> tuple[Measures, list[FilmRow]]:
    """Measure the explanations of a classifier.

    Args:
      network: whose.
      outputs: of the findings whose boxes are looked at, as boxes name them.
      files: gzip TFRecords of Examples, by split; of those that are not looked through, only the
        boxes are read.
      settings: how many films, and which.

    Returns:
      The figures, and what each film with boxes gave.
    """
    known = films.list_films(files)
    patients = {film.sha256: film.patient for film in known}
    looked = [_Looked(choose(known, name, settings), output) for name, output in outputs.items()]
    images = _look(network, looked, {split: files[split] for split in settings.splits})

    localised: list[Localisation] = []
    rows: list[FilmRow] = []
    faithful: list[Faithfulness] = []
    for one in looked:
        figures, of_films = probe.measure_localisation(
            one.chosen, one.maps, one.logits, settings, one.output.name
        )
        localised += figures
        rows += of_films
        taken = surest(one.chosen.drawn, one.logits, settings.faithfulness_films)
        if taken:
            curves = list(_take_apart(network, one, taken, images, settings))
            whose = [patients[sha256] for sha256 in taken]
            faithful.append(probe.measure_faithfulness(curves, whose, one.output.name))
    found = Measures(
        method=network.method,
        layer=network.layer,
        grid=network.grid,
        splits=settings.splits,
        tolerance=settings.tolerance,
        seed=settings.seed,
        localisation=tuple(localised),
        without_boxes=_without_boxes(one.chosen for one in looked),
        faithfulness=tuple(faithful),
        sanity=tuple(_check_sanity(network, looked, images, patients, settings)),
    )
    return found, rows


def _look(
    network: Network, looked: Sequence[_Looked], files: Mapping[str, Sequence[str]]
) -> dict[str, Array]:
    """Make the maps of all chosen films in one pass.

    Returns:
      What was drawn for more than its map: one grey channel, float32 [S, S, 1], by sha256.
    """
    wanted = {sha256: one for one in looked for sha256 in one.chosen.sha256}
    drawn = {sha256 for one in looked for sha256 in one.chosen.drawn}
    kept: dict[str, Array] = {}
    done = 0
    for names, images in films.read_images(files, wanted, network.contract.image_size):
        logits, maps = network.explain(images)
        for row, sha256 in enumerate(names):
            for one in looked:
                if sha256 in one.chosen.sha256:
                    one.maps[sha256] = maps[row, one.output.number]
                    one.logits[sha256] = float(logits[row, one.output.number])
            if sha256 in drawn:
                kept[sha256] = images[row, ..., :1].copy()
        done += len(names)
        progress.report(done, len(wanted), "films explained")
    return kept


def _take_apart(
    network: Network,
    looked: _Looked,
    taken: Sequence[str],
    images: Mapping[str, Array],
    settings: ExplanationProbeSettings,
) -> Iterator[Curves]:
    def predict(pieces: Array) -> Values:
        return looked.output.probabilities(network.logits(pieces)[:, looked.output.number])

    for number, sha256 in enumerate(taken, start=1):
        # By film: which others are beside it is no matter.
        rng = np.random.default_rng([settings.seed, int(sha256, 16)])
        film = _three_channels(images[sha256])
        yield take_apart(film, looked.maps[sha256], predict, steps=settings.steps, rng=rng)
        progress.report(number, len(taken), "films taken apart")


def _check_sanity(
    network: Network,
    looked: Sequence[_Looked],
    images: Mapping[str, Array],
    patients: Mapping[str, str],
    settings: ExplanationProbeSettings,
) -> Iterator[Sanity]:
    compared: list[tuple[_Looked, list[str], dict[str, Array]]] = []
    for one in looked:
        names = surest(one.chosen.drawn, one.logits, settings.sanity_films)
        # An interval takes two patients.
        if len({patients[sha256] for sha256 in names}) > 1:
            compared.append((one, names, {}))
    if not compared:
        return
    for stage in network.forgetting(settings.seed):
        for one, names, maps in compared:
            batch = np.stack([_three_channels(images[sha256]) for sha256 in names])
            maps[stage] = network.explain(batch)[1][:, one.output.number]
    for one, names, maps in compared:
        yield probe.measure_sanity(
            [one.maps[sha256] for sha256 in names],
            maps,
            [patients[sha256] for sha256 in names],
            one.output.name,
        )


def _three_channels(grey: Array) -> Array:
    return np.repeat(grey, 3, axis=-1)


def _without_boxes(choices: Iterable[Chosen]) -> tuple[str, ...]:
    """Datasets that have films with a finding, and not a box of it."""
    found = [
        dataset
        for chosen in choices
        for dataset in chosen.datasets
        if dataset not in {film.dataset for film in chosen.known}
    ]
    return tuple(dict.fromkeys(found))
