"""`cxr drift`: is a served model still asked what it was made for?

Exit codes: 0 nothing moved, or too few requests to tell; 3 drift; 2 a usage or input error.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from components.disclaimer import DISCLAIMER
from components.errors import InputError
from pipeline.copying import LocalPath

if TYPE_CHECKING:
    from components.drift.comparison import Comparison
    from components.drift.requests import Requests

DRIFT = 3

_WORDS = {
    "mean": "the mean grey level",
    "std": "the contrast (standard deviation of grey levels)",
    "p01": "the darkest grey level (1st percentile)",
    "p99": "the brightest grey level (99th percentile)",
    "sharpness": "the sharpness (variance of the Laplacian)",
    "distance": "the distance to the training films",
    "probability": "the probability",
}


class NoStatisticsError(InputError):
    """A model without the statistics of its training; the message says what to do."""


@click.command()
@click.argument("log", type=LocalPath(exists=True))
@click.option(
    "--model",
    "model_dir",
    metavar="DIR",
    type=LocalPath(),
    required=True,
    help="The served version's folder, or a folder of versions (the stable one).",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, and nothing else.")
def drift(log: Path, model_dir: Path, as_json: bool) -> None:
    """Compare LOG, a server's request log, with the films that the model was made with.

    Exits with 3 if anything moved.
    """
    version_dir, version = _served(model_dir)
    statistics = version_dir / "assets.extra" / "training_statistics.pb"
    if not statistics.is_file():
        raise NoStatisticsError(
            f"{version_dir}: no assets.extra/{statistics.name}: this model was exported by an "
            "earlier version of cxr; train it again to compare requests with its training"
        )

    # Here, not above: TFDV takes seconds to import.
    from components.drift.requests import read_requests

    requests = read_requests(log, version, version_dir.parent.name)
    from tensorflow_metadata.proto.v0 import statistics_pb2

    from components.drift.comparison import compare

    trained = statistics_pb2.DatasetFeatureStatisticsList.FromString(statistics.read_bytes())
    found = compare(requests.columns, trained)
    if as_json:
        click.echo(_as_json(version_dir, version, requests, found))
    else:
        _print(version_dir, requests, found)
    if any(one.moved for one in found):
        click.get_current_context().exit(DRIFT)


def _served(model_dir: Path) -> tuple[Path, int]:
    from serving.prediction import ModelNotFoundError
    from serving.saved_model import find_servable
    from serving.version_folders import version_number

    try:
        found = find_servable(model_dir.resolve())
    except ModelNotFoundError as error:
        raise click.BadParameter(str(error), param_hint="--model") from error
    version = version_number(found.name)
    if version is None:
        raise click.BadParameter(
            f"{found} is no version that a server has: its name is no number. Give the folder "
            "that was served, such as RUN/serving/cxr/3.",
            param_hint="--model",
        )
    return found, version


def _verdict(found: Sequence[Comparison]) -> str:
    if any(one.moved for one in found):
        return "drift"
    return "none" if any(one.divergence is not None for one in found) else "too few"


def _as_json(
    version_dir: Path, version: int, requests: Requests, found: Sequence[Comparison]
) -> str:
    told = {
        name: value for name, value in dataclasses.asdict(requests).items() if name != "columns"
    }
    return json.dumps(
        {
            "model": str(version_dir),
            "version": version,
            "verdict": _verdict(found),
            "requests": told,
            "scalars": [dataclasses.asdict(one) | {"moved": one.moved} for one in found],
        },
        indent=2,
    )


def _print(version_dir: Path, requests: Requests, found: Sequence[Comparison]) -> None:
    click.echo(
        f"{requests.count:,} requests to {version_dir}, from {requests.first} to {requests.last}."
    )
    for count, what in (
        (requests.others, "lines are of other models or versions, and were left out"),
        (requests.dropped, "more requests were not logged: the server had no room for them"),
        (requests.unreadable, "lines could not be read, as a crash leaves them"),
    ):
        if count:
            click.echo(f"{count:,} {what}.")
    for sentence in sentences(found):
        click.echo(sentence)
    click.echo(DISCLAIMER)


def sentences(found: Sequence[Comparison]) -> list[str]:
    """What moved, from what to what; what did not; and what cannot be told."""
    from components.drift.comparison import FEWEST

    told = []
    for one in sorted(found, key=lambda one: one.divergence or 0, reverse=True):
        if one.moved and one.before is not None and one.now is not None:
            verb = "rose" if one.now > one.before else "fell"
            told.append(
                f"MOVED: {_words(one.name)} {verb} from {one.before:.3g} to {one.now:.3g} (medians "
                f"of {one.trained:,} films of the training and {one.served:,} requests); "
                f"Jensen-Shannon divergence {one.divergence:.2f}, and at most {one.limit:.2f} was "
                "expected by chance."
            )
    quiet = [one for one in found if one.divergence is not None and not one.moved]
    if quiet:
        told.append(f"Did not move: {_listed(quiet)}.")
    few = [one for one in found if one.divergence is None]
    if few:
        told.append(
            f"Too few to tell, {FEWEST} of either are needed: "
            + "; ".join(
                f"{_words(one.name)} ({one.trained:,} films, {one.served:,} requests)"
                for one in few
            )
            + "."
        )
    if any(one.moved and one.name.startswith("probability") for one in found):
        told.append(
            "A probability moves, too, where fewer or more of the patients are ill than among "
            "the validation films."
        )
    return told


def _listed(found: Sequence[Comparison]) -> str:
    return ", ".join(_words(one.name) for one in found)


def _words(name: str) -> str:
    if name.startswith("probability/"):
        return f"the probability of {name.removeprefix('probability/').replace('_', ' ')}"
    return _WORDS.get(name, name)
