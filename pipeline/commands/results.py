"""`cxr results`: the recipes measured, as a table."""

from __future__ import annotations

import datetime
import json
import shlex
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from pipeline.config import Config, ConfigError, load_config
from pipeline.console import noise_to
from pipeline.copying import LocalPath
from pipeline.run_folder import RunFolder


@click.command()
@click.argument("experiments", nargs=-1, required=True)
@click.option(
    "--set", "overrides", metavar="KEY=VALUE", multiple=True, help="Change a setting; repeatable."
)
@click.option("--seed", "seeds", type=int, multiple=True, default=(1, 2, 3), show_default=True)
@click.option(
    "--trainable",
    default="last_block",
    show_default=True,
    help="What is fine-tuned after the head.",
)
@click.option(
    "--runs",
    type=LocalPath(),
    default=Path("runs"),
    show_default=True,
    help="Where the experiments were run.",
)
@click.option(
    "--out",
    type=LocalPath(),
    default=Path("runs/results"),
    show_default=True,
    help="Where training.md and training.json go.",
)
def results(
    experiments: tuple[str, ...],
    overrides: tuple[str, ...],
    seeds: tuple[int, ...],
    trainable: str,
    runs: Path,
    out: Path,
) -> None:
    """Train EXPERIMENTS with several seeds, on the data of their last runs, and write a table.

    Each is measured on its test images twice: with the head alone trained, and fine-tuned.
    """
    configs = [_of_one_finding(name, overrides, trainable) for name in experiments]
    out.mkdir(parents=True, exist_ok=True)
    started = datetime.datetime.now()
    log = runs / "logs" / f"results-{started:%Y-%m-%dT%H-%M-%S}.log"
    with noise_to(log) as (stdout, _):
        console = Console(file=stdout, highlight=False)
        with console.status("starting TensorFlow and TFX"):
            from pipeline.results import Figures, measure
            from pipeline.results_page import page
            from pipeline.run_record import require_run

        summaries = [_summary(config, RunFolder(runs / config.name)) for config in configs]
        figures: list[Figures] = []
        for seed in seeds:
            for config in configs:
                nodes = require_run(
                    config,
                    RunFolder(runs / config.name),
                    ("XrayExampleGen", "Transform"),
                )
                for one in measure(
                    config,
                    nodes["XrayExampleGen"].outputs["examples"].uri,
                    nodes["Transform"].outputs["transform_graph"].uri,
                    trainable=trainable,
                    seed=seed,
                ):
                    figures.append(one)
                    console.print(
                        f"{one.experiment} on {one.dataset}, {one.trainable}, seed {seed}: AUC "
                        f"{one.auc}, sensitivity {one.sensitivity}, specificity "
                        f"{one.specificity}, {one.training_seconds:.0f} s",
                        soft_wrap=True,
                    )
        (out / "training.json").write_text(
            json.dumps([one.model_dump() for one in figures], indent=2) + "\n"
        )
        given = {"--set": overrides, "--seed": seeds, "--trainable": [trainable]}
        options = [word for name, of in given.items() for one in of for word in (name, str(one))]
        command = shlex.join(["cxr", "results", *experiments, *options])
        (out / "training.md").write_text(page(figures, summaries, command))
        console.print(f"written: {out / 'training.md'} and training.json")


def _of_one_finding(name: str, overrides: tuple[str, ...], trainable: str) -> Config:
    """The experiment; the word for what is fine-tuned is checked as the setting is."""
    load_config(name, [*overrides, f"trainer.trainable={trainable}"])
    config = load_config(name, overrides)
    if config.data.labels != "pneumonia":
        raise ConfigError(
            f"{name}: its model tells {config.data.labels}, and this measures models of one "
            "finding: its run's own report has an AUC for each (cxr report open)"
        )
    return config


def _summary(config: Config, folder: RunFolder) -> dict[str, Any]:
    try:
        return json.loads(folder.summary.read_bytes())
    except FileNotFoundError:
        raise ConfigError(
            f"no finished run of {config.name} in {folder.root}: cxr run {config.name}"
        ) from None
