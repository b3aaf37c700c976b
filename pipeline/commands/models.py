"""`cxr models`: the versions that were pushed, and which of them is served."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from components.disclaimer import DISCLAIMER
from components.errors import InputError
from components.storage import is_remote
from pipeline.copying import copying

if TYPE_CHECKING:
    from serving.versions import ModelFolder, Version

RUNS_DIR = Path("runs")
MODEL_NAME = "cxr"

_Command = Callable[..., None]


class ModelsError(InputError):
    """A folder or version that cannot be used."""


def _shared(command: _Command) -> _Command:
    """What every subcommand takes."""
    for option in (
        click.argument("where", metavar="[RUN]", required=False),
        click.option("--json", "as_json", is_flag=True, help="Print JSON, and nothing else."),
    ):
        command = option(command)
    return command


@click.group()
def models() -> None:
    """List the pushed versions of a model, and choose which of them is served.

    Servers that were started with the folder's models.config (`--model_config_file`) serve the
    labelled versions: `stable`, and `canary` during a trial.

    RUN is an experiment below ./runs, a run's folder, or a folder of versions; the only run that
    pushed, by default. Research and education only: not a diagnostic device.
    """


@models.command(name="list")
@_shared
def list_(where: str | None, as_json: bool) -> None:
    """Show versions, labels, and what is known of them."""
    with _mistakes():
        folder = _find(where)
        _print(folder, as_json)


@models.command()
@click.argument("version", type=int)
@click.option(
    "--label",
    type=click.Choice(["stable", "canary"]),
    default="stable",
    show_default=True,
    help="What the version becomes.",
)
@_shared
def promote(version: int, label: str, where: str | None, as_json: bool) -> None:
    """Let VERSION be served, once it was loaded and answered as its Trainer did."""
    with _mistakes():
        folder = _find(where)
        check = _Check()
        folder.promote(version, label, check=check)
        _print(folder, as_json, f"Version {version} is {label}: {check.found}.")


@models.command()
@click.option(
    "--label",
    type=click.Choice(["stable", "canary"]),
    default="stable",
    show_default=True,
    help="stable: what was so before is so again. canary: the trial ends.",
)
@_shared
def rollback(label: str, where: str | None, as_json: bool) -> None:
    """Go back to the version that was stable before, or give up the canary."""
    with _mistakes():
        folder = _find(where)
        if label == "canary":
            folder.end_trial()
            _print(folder, as_json, "There is no canary any more.")
        else:
            check = _Check()
            version = folder.rollback(check=check)
            _print(folder, as_json, f"Version {version.number} is stable again: {check.found}.")


@models.command()
@click.option(
    "--keep", type=click.IntRange(min=1), required=True, help="How many versions stay, the newest."
)
@_shared
def prune(keep: int, where: str | None, as_json: bool) -> None:
    """Remove old versions, but none with a label, nor the one that a rollback would go to."""
    with _mistakes():
        folder = _find(where)
        removed = folder.prune(keep)
        names = ", ".join(map(str, removed)) or "none"
        _print(folder, as_json, f"Removed: {names}.", removed=removed)


class _Check:
    """Loads a version and asks it; remembers what was found."""

    found = ""

    def __call__(self, folder: Path) -> None:
        from serving.version_check import check_version

        self.found = check_version(folder)


@contextmanager
def _mistakes() -> Iterator[None]:
    """What `serving` refuses is told as other mistakes are."""
    from serving.prediction import PredictionError

    try:
        yield
    except PredictionError as error:
        raise ModelsError(str(error)) from error


def _find(where: str | None) -> ModelFolder:
    from serving.versions import ModelFolder

    if where is None:
        pushed = sorted(RUNS_DIR.glob(f"*/serving/{MODEL_NAME}"))
        if len(pushed) != 1:
            there = ", ".join(folder.parts[-3] for folder in pushed) or "none"
            raise ModelsError(f"which RUN? Below {RUNS_DIR}/ there are pushed models of: {there}")
        return ModelFolder(pushed[0])
    if is_remote(where):
        raise ModelsError(f"takes what is on this machine: first {copying(where)}")
    tried = [
        RUNS_DIR / where / "serving" / MODEL_NAME,
        Path(where) / "serving" / MODEL_NAME,
        Path(where) / MODEL_NAME,
        Path(where),
    ]
    for folder in tried:
        if folder.is_dir() and ModelFolder(folder).versions():
            return ModelFolder(folder)
    raise ModelsError(
        f"no versions of a model; looked for them in {', '.join(map(str, tried))}: "
        "`cxr run EXPERIMENT` pushes one"
    )


def _print(folder: ModelFolder, as_json: bool, done: str = "", **more: Any) -> None:
    from rich.console import Console
    from rich.table import Table

    versions = folder.versions()
    if as_json:
        content = {
            "folder": str(folder.path),
            "config": str(folder.config_file),
            "labels": dict(folder.labels().current),
            "rollback_to": folder.previous(),
            "versions": [_facts(version) for version in versions],
        }
        click.echo(json.dumps(content | more, indent=2))
        return
    console = Console(highlight=False)
    table = Table(box=None, header_style="bold", pad_edge=False)
    # The AUC is that on validation.
    for column in ("Version", "Labels", "Pushed (UTC)", "Images", "AUC", "Model"):
        table.add_column(column, justify="right" if column in ("Images", "AUC") else "left")
    for version in versions:
        facts = _facts(version)
        auc = facts["validation_auc"]
        table.add_row(
            str(version.number),
            ", ".join(version.labels),
            version.pushed.replace("T", " ")[:16],
            str(facts["images"]),
            "-" if auc is None else f"{auc:.3f}",
            f"incomplete: {version.problem}"
            if version.problem
            else f"{facts['backbone']}, {facts['task']}",
        )
    console.print(table)
    previous = folder.previous()
    console.print(f"A rollback goes to: {'nothing' if previous is None else previous}.")
    console.print(f"Servers read: {folder.config_file}", soft_wrap=True)
    if done:
        console.print(done, soft_wrap=True)
    console.print(DISCLAIMER)


def _facts(version: Version) -> dict[str, Any]:
    training: Mapping[str, Any] = version.contract.get("training", {})
    aucs = [auc for auc in training.get("validation_auc", {}).values() if auc is not None]
    return {
        "version": version.number,
        "path": str(version.path),
        "complete": not version.problem,
        "labels": list(version.labels),
        "pushed": version.pushed,
        "backbone": version.contract.get("backbone", "-"),
        "task": version.contract.get("task", "-"),
        # Macro, where there are several findings.
        "validation_auc": statistics.mean(aucs) if aucs else None,
        "images": sum(training.get("images", {}).get("train", {}).values()) or "-",
    }
