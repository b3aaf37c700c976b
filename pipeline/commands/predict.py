"""`cxr predict`: the exported model's answers for image files.

Exit codes: 0 every image was predicted; 2 a usage or input error, or at least one image that
could not be used (the others are predicted and shown nevertheless); 1 anything else, such as
a server that does not answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.copying import LocalPath

if TYPE_CHECKING:
    from serving.prediction import Predictor

RUNS_DIR = Path("runs")
MODEL_NAME = "cxr"
INPUT_ERROR = 2


@dataclass(frozen=True)
class Source:
    """Where the answers come from, and what files of them call it."""

    predictor: Predictor
    identity: str


@click.command()
@click.argument("images", metavar="IMAGE...", nargs=-1, required=True, type=LocalPath())
@click.option(
    "--model",
    "model_dir",
    metavar="DIR",
    type=LocalPath(),
    help="A model version's folder, a folder of versions, or a run's folder. "
    "[default: what was last pushed under ./runs]",
)
@click.option("--server", metavar="HOST:PORT", help="Ask this model server instead.")
@click.option("--rest", is_flag=True, help="Speak REST to the server, not gRPC.")
@click.option("--version", type=int, help="Of the served model. [default: the latest]")
@click.option("--label", help="Of the version of the served model, such as stable.")
@click.option("--tls", is_flag=True, help="Encrypt the connection to the server.")
@click.option(
    "--root-certificates",
    type=LocalPath(),
    help="PEM file to know the server by; implies --tls. [default: the system's]",
)
@click.option(
    "--explain",
    "explain_to",
    metavar="PNG",
    type=LocalPath(),
    help="Draw where the model found it; a folder of pictures for several images.",
)
@click.option(
    "--out",
    metavar="FILE",
    type=LocalPath(),
    help="Write the answers to FILE.csv as they come, or in the end to FILE.json. What FILE.csv "
    "tells of already is skipped.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, and nothing else.")
def predict(
    images: tuple[Path, ...],
    model_dir: Path | None,
    server: str | None,
    explain_to: Path | None,
    out: Path | None,
    as_json: bool,
    **connection: Any,
) -> None:
    """Predict pneumonia, or all findings, on chest X-rays.

    IMAGE is a PNG, JPEG or DICOM file, or a folder of them.

    Research and education only: not a diagnostic device.

    Exits with 2 if any image could not be used; the others are predicted nevertheless.
    """
    if server and model_dir:
        raise click.UsageError("--model and --server exclude each other.")
    for name, value in connection.items():
        if value is not None and value is not False and not server:
            raise click.UsageError(f"--{name.replace('_', '-')} needs --server.")
    if out and out.suffix.lower() not in (".csv", ".json"):
        raise click.BadParameter(f"{out}: must end in .csv or .json", param_hint="--out")

    # Here, not above: the command's help should not wait for NumPy and gRPC.
    from pipeline.answers import Answers
    from serving.prediction import ImagesNotFoundError, PredictionError, find_images
    from serving.results_file import ResultsFileError

    try:
        paths = find_images(images)
    except ImagesNotFoundError as error:
        raise click.BadParameter(str(error), param_hint="IMAGE") from error
    try:
        source = _client(server, **connection) if server else _local(model_dir)
        with source.predictor as predictor:
            answers = Answers(predictor, source.identity, paths)
            if explain_to:
                answers.draw_to(explain_to)
            if out:
                answers.write_to(out)
            outcome = answers.get()
    except ResultsFileError as error:
        raise click.BadParameter(str(error), param_hint="--out") from error
    except PredictionError as error:
        raise click.ClickException(str(error)) from error

    answers.show(as_json=as_json)
    if explain_to and outcome.predictions:
        click.echo(f"Drawn: {explain_to}", err=True)
    if outcome.failures:
        for failure in outcome.failures:
            click.echo(f"Not predicted: {failure}", err=True)
        click.get_current_context().exit(INPUT_ERROR)


def newest_pushed_model(runs_dir: Path) -> Path | None:
    """Of the versions in use in RUN/serving/cxr the one that was pushed last, None without any."""
    from serving.saved_model import served_version

    versions = [served_version(base) for base in sorted(runs_dir.glob(f"*/serving/{MODEL_NAME}"))]
    return max(
        (version for version in versions if version),
        key=lambda version: (version / "saved_model.pb").stat().st_mtime,
        default=None,
    )


def _local(model_dir: Path | None) -> Source:
    from serving.prediction import ModelNotFoundError
    from serving.saved_model import SavedModelPredictor

    if model_dir is None:
        model_dir = newest_pushed_model(RUNS_DIR)
        if model_dir is None:
            raise click.UsageError(
                f"No pushed model: looked for {RUNS_DIR}/*/serving/{MODEL_NAME}/VERSION. "
                "Run the pipeline, or give --model DIR or --server HOST:PORT."
            )
        click.echo(f"Using {model_dir}, the model pushed last.", err=True)
    try:
        predictor = SavedModelPredictor(model_dir)
    except ModelNotFoundError as error:
        raise click.BadParameter(str(error), param_hint="--model") from error
    return Source(predictor, str(predictor.model_dir))


def _client(
    address: str,
    *,
    rest: bool,
    version: int | None,
    label: str | None,
    tls: bool,
    root_certificates: Path | None,
) -> Source:
    """A client of one version, so that a swap on the server does not mix two models' answers."""
    from serving.client import GrpcClient, RestClient

    kind = RestClient if rest else GrpcClient
    security = root_certificates or tls
    try:
        asked = kind(address, version=version, version_label=label, tls=security)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--server") from error
    with asked:
        served = asked.served_version()
    predictor = kind(address, version=served, tls=security)
    return Source(predictor, f"{predictor.target.model_name} version {served}")
