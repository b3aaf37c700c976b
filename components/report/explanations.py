"""What is known of the heat maps, in sentences and tables; on the dashboard and the model card."""

from __future__ import annotations

from collections.abc import Iterator

from components.explanation.methods import NAMES
from components.explanation_probe.comparison import Comparison
from components.explanation_probe.faithfulness import DELETION
from components.explanation_probe.measures import Faithfulness, Localisation, Measures
from components.report.figures import finding_name
from components.report.tables import NOTHING, Table, count, figure, signed

_FLOORS = {
    "random": "a random place",
    "centre": "the centre of the film",
    "prior": "the place where most other patients have boxes",
}
_ORDERS = {"random": "a random order", "centre": "an order from the centre"}

LIMITS = (
    "What this does not show: why the model answers as it does, or that any one map is right. A "
    "box holds what an expert saw, and a hot place in it may be hot for another reason. These are "
    "means over films that do show the finding; of false alarms they tell nothing."
)


def sentences(measures: Measures) -> Iterator[str]:
    """What was measured and found, in plain words, without `LIMITS`."""
    rows, columns = measures.grid
    yield (
        f"{NAMES[measures.method]} maps of {rows} by {columns} cells, of "
        f"films in {' and '.join(measures.splits)} that show the finding."
        + (
            " The model learnt from training films, but never from a box."
            if "train" in measures.splits
            else ""
        )
    )
    for one in measures.localisation:
        yield _localised(one)
    for dataset in measures.without_boxes:
        yield f"{dataset} has no boxes: nothing tells where its heat should be."
    for faithful in measures.faithfulness:
        yield from _faithful(faithful)
    for check in measures.sanity:
        verdict = check.sentence[:1].lower() + check.sentence[1:]
        yield f"{finding_name(check.finding).capitalize()}, on {check.films} films: {verdict}"


def localisation(measures: Measures) -> Table:
    """Model and floors, measure by measure."""
    return Table(
        headings=("Films", "Measure", "Model", "Random", "Centre", "Prior", "Lift over the best"),
        rows=tuple(
            (
                f"{_name(one)}, {count(one.films)} films",
                each.measure,
                figure(each.model),
                *(figure(each.floors.get(floor)) for floor in _FLOORS),
                f"{signed(each.lift)}, {each.best_floor}",
            )
            for one in measures.localisation
            for each in one.measures
        ),
        caption="Model and floors: means over films, with intervals over patients.",
    )


def faithfulness(measures: Measures) -> Table:
    """Areas under the curves of deletion and insertion."""
    return Table(
        headings=("Finding", "Area", "Heat", "Random", "Centre", "Lift over the best"),
        rows=tuple(
            (
                f"{finding_name(one.finding)}, {count(one.films)} films",
                f"{each.measure}, {'small' if each.measure == DELETION else 'large'} is good",
                figure(each.model),
                *(figure(each.floors.get(order)) for order in _ORDERS),
                f"{signed(each.lift)}, {each.best_floor}",
            )
            for one in measures.faithfulness
            for each in one.areas
        ),
    )


def sanity(measures: Measures) -> Table:
    """How alike maps are before and after parts of the network forgot what they learnt."""
    rows = []
    for one in measures.sanity:
        name = finding_name(one.finding)
        between = figure(one.between_films)
        rows.append((name, "nothing: maps of different films", between, NOTHING, NOTHING))
        rows += [
            (
                name,
                stage.randomised,
                figure(stage.rank_correlation),
                figure(stage.ssim),
                f"{stage.without_heat} of {one.films}",
            )
            for stage in one.stages
        ]
    return Table(
        headings=("Finding", "Randomised", "Rank correlation", "SSIM", "Maps without heat"),
        rows=tuple(rows),
        caption="Maps of the randomised network beside the model’s own.",
    )


def _localised(one: Localisation) -> str:
    pointing = one.pointing
    if pointing is None:
        return f"{_name(one)}: not measured, since {one.unmeasured}."
    few = " So few films support no claim." if one.few else ""
    return (
        f"{_name(one)}: on {count(one.films)} films of {count(one.patients)} patients the map’s "
        f"hottest place hits a box with a share of {pointing.model}. Without a look at the film, "
        f"{_FLOORS[pointing.best_floor]} hits with {pointing.floors[pointing.best_floor]}: a lift "
        f"of {signed(pointing.lift)}, {_verdict(pointing)}.{few}"
    )


def _faithful(one: Faithfulness) -> Iterator[str]:
    whole, blurred = (next(iter(one.deletion.values()))[at] for at in (0, -1))
    if blurred >= whole:
        yield (
            f"Films of {finding_name(one.finding)} that are nothing but blur have a mean "
            f"probability of {blurred:.3f}, whole ones of {whole:.3f}: blur alone looks like the "
            "finding to this model, and deletion and insertion tell little."
        )
    for each in one.areas:
        deletion = each.measure == DELETION
        done = (
            "Blurred cell by cell, hottest first" if deletion else "Made sharp again, hottest first"
        )
        yield (
            f"{done}, {count(one.films)} films of {finding_name(one.finding)} have a mean "
            f"probability of {each.model} on the way; {_ORDERS[each.best_floor]} gives "
            f"{each.floors[each.best_floor]}. That is {signed(each.lift)} in favour of the maps, "
            f"{_verdict(each)}."
        )


def _verdict(one: Comparison) -> str:
    if one.lift.lower > 0:
        return "better than no look at the film"
    if one.lift.upper < 0:
        return "worse than no look at the film"
    return "not shown to be better than no look at the film"


def _name(one: Localisation) -> str:
    return f"{one.dataset}, {finding_name(one.finding)}"
