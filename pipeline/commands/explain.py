"""`cxr explain`: what a run's model says of one film, and where on it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from components.disclaimer import DISCLAIMER
from components.errors import InputError
from pipeline.commands.report import find_report, load_figures
from pipeline.copying import LocalPath

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from components.grad_cam.contract import ModelContract
    from components.grad_cam.films import Film
    from serving.prediction import Explanation

_INDEX = "cases.json"
# TFX's name of the exported model's folder.
_SERVED = "Format-Serving"
# By decision.
_SIGNS = ("negative", "positive")
_SIDES = ("below", "at or above")


@click.command()
@click.argument("run")
@click.option(
    "--case",
    "case",
    metavar="FILE",
    required=True,
    help="The name of a film of the run's test split, or the path of an image.",
)
@click.option(
    "--out",
    type=LocalPath(dir_okay=False),
    help="Where the picture goes.  [default: FILE_explained.png, here]",
)
@click.option("--finding", default="", help="Of a multi-label model; by default the report's.")
@click.option(
    "--runs",
    type=LocalPath(file_okay=False),
    default=Path("runs"),
    show_default=True,
    help="Where the experiments were run.",
)
def explain(run: str, case: str, out: Path | None, finding: str, runs: Path) -> None:
    """Show where the model of RUN looks on one film, and what its answer means.

    A RUN is an experiment, whose newest report is meant; EXPERIMENT/NUMBER, as `cxr report list`
    shows them; or the path of a run's folder.

    Research and education only: not a diagnostic device.
    """
    index = _read_index(run, runs)
    sources = index["sources"]
    # Here, not above: the command's help should not wait for TensorFlow.
    from tfx.dsl.io import fileio

    from components import storage
    from components.grad_cam.exported_model import read_contract
    from components.grad_cam.pictures import overlay_png, read_film, to_heat
    from components.grad_cam.words import format_logits

    model = f"{sources['model']}/{_SERVED}"
    if not fileio.isdir(model):
        raise InputError(f"{run}: its model is no longer in {model}: run the experiment again")
    finding = finding or _finding(index)
    contract = read_contract(model, finding)
    film = _film(case, sources["examples"], index["split"], finding)
    with storage.local_copy(model) as folder:
        explanation = _ask(folder, film)
    picture = overlay_png(
        read_film(film.encoded),
        to_heat(_map(explanation, contract), contract.reference),
        contract.opacity,
        boxes=() if "boxes" in index["redacted"] else film.boxes,
        ends=("0", f">= {format_logits(contract.reference)} logits per cell"),
    )
    path = out or Path(f"{Path(case).stem}_explained.png")
    path.write_bytes(picture)
    for name, text in _lines(film, explanation, contract, index):
        click.echo(f"{name:<14}{text}")
    click.echo(f"{'Written':<14}{path}")
    click.echo(DISCLAIMER)


def _read_index(run: str, runs: Path) -> dict[str, Any]:
    """What the run's GradCamReport wrote."""
    from serving.saved_model import import_tensorflow

    figures = load_figures(find_report(run, runs))
    source = figures.lineage.artifacts.get("explanations")
    if source is None:
        raise InputError(f"{run} was made without explanations: run the experiment again")
    # Quietly; what reads the store would import it.
    import_tensorflow()
    from tfx.dsl.io import fileio

    path = f"{source.uri}/{_INDEX}"
    if not fileio.exists(path):
        raise InputError(f"{run}: its explanations are no longer in {path}: run it again")
    with fileio.open(path, "rb") as file:
        index: dict[str, Any] = json.loads(file.read())
    if "sources" not in index:
        raise InputError(f"{path} was written by another version: run the experiment again")
    return index


def _finding(index: Mapping[str, Any]) -> str:
    """The finding of the report; empty for a model of pneumonia alone."""
    return "" if index["output"] in index["class_names"] else str(index["output"])


def _film(case: str, examples: str, split: str, finding: str) -> Film:
    """A file of that path, or else the film of that name in the run's split."""
    from components.grad_cam.films import Film
    from serving.prediction import BadImageError, read_image

    path = Path(case)
    if path.is_file():
        try:
            encoded = read_image(path)
        except BadImageError as error:
            raise InputError(str(error)) from error
        return Film(
            sha256="", filename=case, dataset="", encoded=encoded, labels=(), details={}, boxes=()
        )
    for film in _films(examples, split, finding):
        if film.filename == case:
            return film
    raise InputError(
        f"--case {case}: no such file, and no film of that name in the {split} split in {examples}"
    )


def _films(examples: str, split: str, finding: str) -> Iterator[Film]:
    from tfx.dsl.io import fileio

    from components import storage
    from components.grad_cam.films import parse_film

    files = sorted(str(path) for path in fileio.glob(f"{examples}/Split-{split}/*.gz"))
    if not files:
        raise InputError(f"the images are no longer in {examples}: run the experiment again")
    for record in storage.read_records(files).as_numpy_iterator():
        yield parse_film(record, finding)


def _ask(model: Path, film: Film) -> Explanation:
    from serving.prediction import BadImageError, PredictionError
    from serving.saved_model import SavedModelPredictor

    try:
        with SavedModelPredictor(model) as predictor:
            return predictor.explain([film.encoded], [film.filename])[0]
    except BadImageError as error:
        raise InputError(str(error)) from error
    except PredictionError as error:
        raise click.ClickException(str(error)) from error


def _lines(
    film: Film, explanation: Explanation, contract: ModelContract, index: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    from components.grad_cam.words import format_probability, heading

    probability, decision = _answer(explanation, contract)
    positive = contract.class_names[1]
    yield "Film", film.filename
    if film.labels:
        label = film.labels[contract.output if len(film.labels) > 1 else 0]
        yield "Outcome", f"{str(bool(label == decision)).lower()} {_SIGNS[decision]}"
        yield "Label", contract.class_names[label]
    yield "Decision", contract.class_names[decision]
    yield (
        "Probability",
        f"{format_probability(probability)} of {positive}, {_SIDES[decision]} the operating point "
        f"{format_probability(contract.threshold)}",
    )
    if contract.name == index["output"] and index["slices"]:
        yield "", _at_this_point(index["slices"][0], positive)
    yield "Hottest cell", _hottest(_map(explanation, contract), contract)
    for name, values in film.details.items():
        if name not in index["redacted"]:
            yield heading(name), ", ".join(values)
    for shown in index["cases"]:
        if film.sha256 and shown.get("sha256") == film.sha256:
            yield "In the report", shown["reason"]


def _map(explanation: Explanation, contract: ModelContract) -> NDArray[np.float32]:
    """The map of the finding that is meant: float32 [h, w], logits."""
    # A model of one finding has no axis for them.
    found = explanation.heatmap
    return found if found.ndim == 2 else found[contract.output]


def _hottest(cam: NDArray[np.float32], contract: ModelContract) -> str:
    from components.grad_cam.pictures import hottest_place
    from components.grad_cam.words import format_logits

    if not cam.any():
        return f"none: no place adds to the logit of {contract.class_names[1]}"
    return (
        f"{format_logits(float(cam.max()))} logits, {hottest_place(cam)} of the image; on every "
        f"film the hottest colour is {format_logits(contract.reference)} logits or more"
    )


def _answer(explanation: Explanation, contract: ModelContract) -> tuple[float, int]:
    from serving.prediction import FindingsPrediction

    answer = explanation.answer
    if isinstance(answer, FindingsPrediction):
        found = answer.findings[contract.output]
        return found.probability, found.decision
    return answer.probability, answer.decision


def _at_this_point(split: Mapping[str, Any], positive: str) -> str:
    """What the operating point means, by the films of the run's test split."""
    shares = []
    if split["sensitivity"] is not None:
        shares.append(f"finds {split['sensitivity']:.1%} of the test films with {positive}")
    if split["specificity"] is not None:
        shares.append(f"calls {1 - split['specificity']:.1%} of the others {positive}")
    return f"at which the model {' and '.join(shares)}" if shares else ""
