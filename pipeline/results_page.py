"""What `cxr results` measured, and what the gates said of the runs, as a page of Markdown."""

from __future__ import annotations

import datetime
import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from components.disclaimer import DISCLAIMER

if TYPE_CHECKING:
    from components.statistics.interval import Interval
    from pipeline.results import Figures

_MEASURED = ("auc", "ece", "sensitivity", "specificity")


def page(figures: Sequence[Figures], summaries: Sequence[Mapping[str, Any]], command: str) -> str:
    """The page.

    Args:
      figures: of each seed.
      summaries: `summary.json` of each experiment's last run.
      command: that wrote it.
    """
    seeds = ", ".join(str(seed) for seed in dict.fromkeys(one.seed for one in figures))
    runs = "\n\n".join(_run(one) for one in summaries)
    return f"""# Results of training

Written by `{command}` on {datetime.date.today()}. {DISCLAIMER}

Test images are those of other patients than the training's. Each figure is the mean over the
seeds {seeds}. In brackets stands its 95 % interval over resampled test patients (the mean of the
seeds' intervals): what other patients might have given. Behind it, the lowest and the highest of
the seeds: what other initial weights, orders of images and dropout might have. The split is the
same. Probabilities are calibrated and the operating point is chosen on validation. The calibration
errors on validation are those of folds that the calibration was not fitted on. Seconds are those in
which head and unfrozen blocks learnt, once their images had gone through the frozen part.

{table(figures)}

## What the gates say

Of the last run of each experiment, with its own seed.

{runs}
"""


def table(figures: Sequence[Figures]) -> str:
    """A table in Markdown, with a row for each experiment, dataset, and what was trained."""
    lines = [
        "| experiment | trained | test images (pneumonia) | AUC | ECE | sensitivity | specificity "
        "| validation ECE before → after | seconds |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    groups: dict[tuple[str, str, str], list[Figures]] = {}
    for one in figures:
        groups.setdefault((one.experiment, one.dataset, one.trainable), []).append(one)
    for (experiment, dataset, trainable), seeds in groups.items():
        name = experiment if experiment == dataset else f"{experiment}: {dataset}"
        before, after = (
            _mean([getattr(one, f"validation_ece_{when}") for one in seeds])
            for when in ("before", "after")
        )
        lines.append(
            f"| {name} | {trainable} | {seeds[0].images} ({seeds[0].positives}) "
            + "".join(f"| {_of_seeds([getattr(one, key) for one in seeds])} " for key in _MEASURED)
            + f"| {before} → {after} "
            + f"| {statistics.mean(one.training_seconds for one in seeds):.0f} |"
        )
    return "\n".join(lines)


def _run(summary: Mapping[str, Any]) -> str:
    lines = [f"### {summary['experiment']}: {summary['verdict']}", ""]
    lines += [f"- {one['verdict']}: {one['sentence']}." for one in summary["gates"]]
    if summary["baselines"]:
        lines += [
            "",
            "| what needs no lungs | dataset | AUC | what the model is better by |",
            "|---|---|---|---|",
        ]
        lines += [
            f"| {one['name']} | {one['dataset']} | {_interval(one['auc'])} "
            f"| {_interval(one['lift'])} |"
            for one in summary["baselines"]
        ]
    return "\n".join(lines)


def _interval(one: Mapping[str, float]) -> str:
    return f"{one['estimate']:.3f} ({one['lower']:.3f} to {one['upper']:.3f})"


def _of_seeds(seeds: Sequence[Interval]) -> str:
    estimates = [one.estimate for one in seeds]
    mean, lower, upper = (
        statistics.mean(getattr(one, end) for one in seeds)
        for end in ("estimate", "lower", "upper")
    )
    spread = f", seeds {min(estimates):.3f} to {max(estimates):.3f}" if len(seeds) > 1 else ""
    return f"{mean:.3f} ({lower:.3f} to {upper:.3f}){spread}"


def _mean(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{statistics.mean(known):.3f}" if known else "-"
