"""`cxr results`: the recipes measured, as a table."""

from __future__ import annotations

import dataclasses
import datetime
import json
from pathlib import Path

import click
from rich.console import Console

from components.disclaimer import DISCLAIMER
from pipeline.config import load_config
from pipeline.console import noise_to


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
    type=click.Path(path_type=Path),
    default=Path("runs"),
    show_default=True,
    help="Where the experiments were run.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("docs/results"),
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
    out.mkdir(parents=True, exist_ok=True)
    started = datetime.datetime.now()
    log = runs / "logs" / f"results-{started:%Y-%m-%dT%H-%M-%S}.log"
    with noise_to(log) as (stdout, _):
        console = Console(file=stdout, highlight=False)
        with console.status("starting TensorFlow and TFX"):
            from pipeline.results import Figures, measure, table
            from pipeline.run_record import require_run
            from pipeline.runners.local import RunFolder

        figures: list[Figures] = []
        for seed in seeds:
            for name in experiments:
                config = load_config(name, overrides)
                nodes = require_run(
                    config.name,
                    RunFolder(runs / config.name).metadata,
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
                        f"{one.auc:.3f}, sensitivity {one.sensitivity:.3f}, specificity "
                        f"{one.specificity:.3f}, {one.training_seconds:.0f} s",
                        soft_wrap=True,
                    )
        (out / "training.json").write_text(
            json.dumps([dataclasses.asdict(one) for one in figures], indent=2) + "\n"
        )
        (out / "training.md").write_text(_page(table(figures), experiments, overrides, seeds))
        console.print(f"written: {out / 'training.md'} and training.json")


def _page(
    rows: str, experiments: tuple[str, ...], overrides: tuple[str, ...], seeds: tuple[int, ...]
) -> str:
    command = " ".join(["cxr results", *experiments, *(f"--set {one}" for one in overrides)])
    return f"""# Results of training

Written by `{command}` on {datetime.date.today()}. {DISCLAIMER}

Test images are those of other patients than the training's. Each figure is the mean over the
seeds {", ".join(map(str, seeds))}, and in brackets the lowest and the highest: the spread of
training, not that of the test images. A seed decides initialisation (of random weights, too), the
order of images, and dropout; the split is the same. Probabilities are calibrated and the operating
point is chosen on validation. The calibration errors on validation are those of folds that the
calibration was not fitted on. Seconds are those in which head and unfrozen blocks learnt, once
their images had gone through the frozen part.

{rows}
"""
