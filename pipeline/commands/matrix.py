"""`cxr matrix`: trained on one dataset, tested on the others."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from components.disclaimer import DISCLAIMER
from pipeline.config import Config, ConfigError, load_config
from pipeline.console import noise_to
from pipeline.copying import LocalPath

if TYPE_CHECKING:
    from components.cross_dataset.matrix import Matrix

_NODE = "CrossDatasetMatrix"
_NEEDED = ("XrayExampleGen", "Transform")


@click.command()
@click.argument("experiment", default="both")
@click.option(
    "--set", "overrides", metavar="KEY=VALUE", multiple=True, help="Change a setting; repeatable."
)
@click.option(
    "--runs",
    type=LocalPath(),
    default=Path("runs"),
    show_default=True,
    help="Where the experiment was run.",
)
@click.option("--out", type=LocalPath(), help="Where matrix.md and matrix.json go, if so.")
def matrix(experiment: str, overrides: tuple[str, ...], runs: Path, out: Path | None) -> None:
    """Train a head on each dataset of EXPERIMENT (both, by default), and test it on every one.

    On the data of its last run. Where that run has the matrix, with the same settings, it is
    shown as it is; else the heads are trained now, on embeddings of the Trainer's cache.
    """
    config = load_config(experiment, overrides)
    if not config.has_several_datasets:
        raise ConfigError(
            f"{config.name}: training on one dataset and testing on another takes two in "
            "data.datasets, and data.labels=pneumonia: cxr matrix both"
        )
    log = runs / "logs" / f"matrix-{datetime.datetime.now():%Y-%m-%dT%H-%M-%S}.log"
    with noise_to(log) as (stdout, _):
        console = Console(file=stdout, highlight=False)
        with console.status("starting TensorFlow and TFX"):
            from components.cross_dataset.matrix import FILE_NAME
            from components.cross_dataset.report import pooled_sentence, render_markdown

        with console.status("training heads"):
            found = _find(config, runs)
        console.print(_table(found))
        console.print(f"[dim]AUC (95 % interval) on test images. {escape(_made_with(found))}[/]")
        console.print(escape(pooled_sentence(found)))
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
            command = " ".join(["cxr matrix", config.name, *(f"--set {one}" for one in overrides)])
            (out / FILE_NAME).write_text(found.model_dump_json(indent=2) + "\n")
            page = out / Path(FILE_NAME).with_suffix(".md")
            page.write_text(_page(command, found, render_markdown(found)))
            console.print(f"written: {page} and {FILE_NAME}", soft_wrap=True)


def _find(config: Config, runs: Path) -> Matrix:
    """The matrix of the last run, or, where that has none with these settings, a new one."""
    from tfx.dsl.io import fileio

    from components.cross_dataset import heads
    from components.cross_dataset.executor import read_hyperparameters
    from components.cross_dataset.matrix import FILE_NAME, Matrix
    from components.source_digest import source_digest
    from components.trainer.hyperparameters import with_hyperparameters
    from components.trainer.weights import settle_weights
    from pipeline.run_folder import RunFolder
    from pipeline.run_record import require_run

    nodes = require_run(config, RunFolder(runs / config.name), _NEEDED)
    settings = settle_weights(config.trainer, config.transform.image_size)
    if config.tuner.enabled and "Tuner" in nodes:
        best = nodes["Tuner"].outputs["best_hyperparameters"].uri
        settings = with_hyperparameters(settings, read_hyperparameters(best))
    if _NODE in nodes and "report" in nodes[_NODE].outputs:
        with fileio.open(f"{nodes[_NODE].outputs['report'].uri}/{FILE_NAME}", "rb") as file:
            kept = Matrix.model_validate_json(file.read())
        if kept.settings == heads.deciding(settings):
            return kept
    return heads.measure(
        settings,
        {
            "labels": config.data.labels,
            "image_size": config.transform.image_size,
            "preprocessing": source_digest("transform"),
        },
        nodes["XrayExampleGen"].outputs["examples"].uri,
        nodes["Transform"].outputs["transform_graph"].uri,
    )


def _table(matrix: Matrix) -> Table:
    from components.cross_dataset.report import names

    table = Table(box=None, pad_edge=False)
    table.add_column("trained on (images)")
    for dataset in matrix.datasets:
        table.add_column(f"tested on {dataset}")
    for row in matrix.rows:
        head = f"{names(row)} ({row.images:,})"
        if row.untrained:
            table.add_row(head, escape(f"no head: {row.untrained}"))
        else:
            table.add_row(head, *("–" if one.auc is None else str(one.auc) for one in row.cells))
    return table


def _made_with(matrix: Matrix) -> str:
    backbone, weights, seed = (matrix.settings[name] for name in ("backbone", "weights", "seed"))
    return f"Backbone {backbone}, weights {weights}, seed {seed}."


def _page(command: str, matrix: Matrix, rows: str) -> str:
    return f"""# Trained on one dataset, tested on another

Written by `{command}` on {datetime.date.today()}. {DISCLAIMER}

Heads on the embeddings of each dataset's training images alone, and of all; without fine-tuning.
Test images are those of other patients than the training's. In brackets 95 % intervals: of the AUC
by DeLong, which takes every image for a patient of its own; of sensitivity and specificity by
Wilson. Probabilities are calibrated, and the operating point is chosen, on the validation images of
the datasets that were trained on. {_made_with(matrix)}

{rows}
"""
