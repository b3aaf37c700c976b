"""`cxr predict`: the exported model's answers for image files.

Exit codes: 0 every image was predicted; 2 a usage or input error, or at least one image that
could not be used (the others are predicted and shown nevertheless); 1 anything else, such as
a server that does not answer.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from components.disclaimer import DISCLAIMER

if TYPE_CHECKING:
    from rich.table import Table

    from serving.prediction import FindingsPrediction, Outcome, Prediction, Predictor

RUNS_DIR = Path("runs")
MODEL_NAME = "cxr"
INPUT_ERROR = 2


@click.command()
@click.argument(
    "images", metavar="IMAGE...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option(
    "--model",
    "model_dir",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="A model version's folder, a folder of versions, or a run's folder. "
    "[default: what was last pushed under ./runs]",
)
@click.option("--server", metavar="HOST:PORT", help="Ask this TensorFlow Serving instead.")
@click.option("--rest", is_flag=True, help="Speak REST to the server, not gRPC.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, and nothing else.")
def predict(
    images: tuple[Path, ...], model_dir: Path | None, server: str | None, rest: bool, as_json: bool
) -> None:
    """Predict pneumonia, or all findings, on chest X-rays: PNG or JPEG files, or folders of them.

    Research and education only: not a diagnostic device.

    Exits with 2 if any image could not be used; the others are predicted nevertheless.
    """
    if server and model_dir:
        raise click.UsageError("--model and --server exclude each other.")
    if rest and not server:
        raise click.UsageError("--rest needs --server.")

    # Here, not above: the command's help should not wait for NumPy and gRPC.
    from serving.prediction import ImagesNotFoundError, PredictionError, find_images

    try:
        paths = find_images(images)
    except ImagesNotFoundError as error:
        raise click.BadParameter(str(error), param_hint="IMAGE") from error
    predictor = _client(server, rest=rest) if server else _local(model_dir)
    try:
        with predictor:
            outcome = predictor.predict_files(paths)
    except PredictionError as error:
        raise click.ClickException(str(error)) from error

    if as_json:
        click.echo(_as_json(predictor, outcome))
    else:
        _print_table(predictor, outcome)
    if outcome.failures:
        for failure in outcome.failures:
            click.echo(f"Not predicted: {failure}", err=True)
        click.get_current_context().exit(INPUT_ERROR)


def newest_pushed_model(runs_dir: Path) -> Path | None:
    """The version folder that was pushed last among RUN/serving/cxr/VERSION, None without any.

    Version numbers count within one run only, so runs are compared by the time of their push.
    """
    from serving.saved_model import newest_version

    versions = [newest_version(base) for base in sorted(runs_dir.glob(f"*/serving/{MODEL_NAME}"))]
    return max(
        (version for version in versions if version),
        key=lambda version: (version / "saved_model.pb").stat().st_mtime,
        default=None,
    )


def _local(model_dir: Path | None) -> Predictor:
    from serving.prediction import ModelNotFoundError, PredictionError
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
        return SavedModelPredictor(model_dir)
    except ModelNotFoundError as error:
        raise click.BadParameter(str(error), param_hint="--model") from error
    except PredictionError as error:
        raise click.ClickException(str(error)) from error


def _client(address: str, *, rest: bool) -> Predictor:
    from serving.client import GrpcClient, RestClient

    try:
        return RestClient(address) if rest else GrpcClient(address)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--server") from error


def _as_json(predictor: Predictor, outcome: Outcome) -> str:
    from serving.prediction import FindingsPrediction

    threshold: dict[str, Any] = {"threshold": predictor.threshold}
    if any(isinstance(one, FindingsPrediction) for one in outcome.predictions):
        threshold = {"thresholds": dict(predictor.thresholds)}
    return json.dumps({"model": predictor.model, **threshold, **asdict(outcome)}, indent=2)


def _print_table(predictor: Predictor, outcome: Outcome) -> None:
    from rich.console import Console
    from rich.table import Table

    from serving.prediction import FindingsPrediction

    console = Console(highlight=False)
    if outcome.predictions:
        table = Table("File", box=None, header_style="bold", pad_edge=False)
        table.columns[0].overflow = "fold"
        if isinstance(outcome.predictions[0], FindingsPrediction):
            table.add_column("Finding")
        table.add_column("Probability", justify="right")
        table.add_column("Threshold", justify="right")
        table.add_column("Decision")
        for prediction in outcome.predictions:
            if isinstance(prediction, FindingsPrediction):
                _add_findings(table, prediction, predictor.thresholds)
            else:
                _add_decision(table, prediction, predictor.threshold)
        console.print(table)
    console.print(DISCLAIMER)


# Text, because the name of a file, or of a class, may hold what rich would read as markup.


def _add_decision(table: Table, prediction: Prediction, threshold: float | None) -> None:
    from rich.text import Text

    table.add_row(
        Text(prediction.source),
        f"{prediction.probability:.4f}",
        _shown(threshold),
        Text(f"{prediction.label} ({prediction.decision})"),
    )


def _add_findings(
    table: Table, prediction: FindingsPrediction, thresholds: Mapping[str, float]
) -> None:
    from rich.text import Text

    for number, finding in enumerate(prediction.findings):
        table.add_row(
            Text("" if number else prediction.source),
            Text(finding.name),
            f"{finding.probability:.4f}",
            _shown(thresholds.get(finding.name)),
            f"{'present' if finding.decision else 'absent'} ({finding.decision})",
            style="bold" if finding.decision else None,
        )


def _shown(threshold: float | None) -> str:
    return "-" if threshold is None else f"{threshold:.4f}"
