"""The summary as people read it."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from components.disclaimer import DISCLAIMER
from components.storage import is_remote
from pipeline.copying import copying
from serving.model_config import FILE_NAME

_FIGURES = ("auc", "sensitivity", "specificity")
_MARKS = {"passed": "[green]✓[/]", "refused": "[red]✗[/]", "not judged": "[yellow]–[/]"}
_HEADINGS = {"auc": "AUC", "ppv": "PPV", "npv": "NPV"}


def print_summary(summary: Mapping[str, Any], console: Console) -> None:
    """Draw a summary as `summary.summarize` makes it."""
    console.print()
    if summary["labels"] == "findings":
        _print_findings(summary, console)
    else:
        _print_pneumonia(summary, console)
    if summary["slices_too_small"]:
        console.print(f"[dim]Slices too small to report: {summary['slices_too_small']}.[/]")
    if summary["model"]["weights"] == "none":
        learnt = summary["model"]["training"]["trainable"]
        what = "its head" if learnt == "head" else f"its head and {learnt.replace('_', ' ')}"
        console.print(f"[yellow]The backbone had RANDOM weights: only {what} has learnt.[/]")
    _print_data(summary, console)
    _print_verdict(summary, console)
    _print_paths(summary, console)
    console.print(f"\n[bold]{DISCLAIMER}[/]")


def _print_pneumonia(summary: Mapping[str, Any], console: Console) -> None:
    console.print(_metrics("Test images", summary["metrics"], _FIGURES))
    if summary["metrics_unsampled"]:
        title = "Balanced test images before balancing, at their own prevalence"
        whole = [one for one in summary["metrics_unsampled"] if set(one["slice"]) == {"dataset"}]
        # The positives are those of the table above, and so is the sensitivity.
        console.print(_metrics(title, whole, ("auc", "specificity", "ppv", "npv")))
    (output,) = summary["model"]["outputs"]
    _print_operating_point(output, console)


def _print_findings(summary: Mapping[str, Any], console: Console) -> None:
    # Not of all images: which dataset one is from would be worth an AUC of its own.
    for one in summary["metrics"]:
        if set(one["slice"]) == {"dataset"}:
            console.print(_findings(one))
    table = _table("Test images", "slice")
    for column in ("n", "findings measured", "macro AUC"):
        table.add_column(column, justify="right", no_wrap=True)
    for one in summary["metrics"]:
        measured = f"{one['measured']} of {len(one['findings'])}"
        table.add_row(escape(one["name"]), str(one["n"]), measured, _figure(one["macro_auc"]))
    console.print(table)


def _findings(metrics: Mapping[str, Any]) -> Table:
    table = _table(f"Findings on {metrics['n']:,} test images, {metrics['name']}", "finding")
    for column in ("positives", "AUC", "sensitivity", "specificity", "PPV"):
        table.add_column(column, justify="right", no_wrap=True)
    for one in metrics["findings"]:
        table.add_row(
            one["finding"].replace("_", " "),
            str(one["positives"]),
            _figure(one["auc"]),
            *(_figure(one[figure]) for figure in ("sensitivity", "specificity", "ppv")),
        )
    table.add_section()
    table.add_row("macro AUC", "", _figure(metrics["macro_auc"]))
    return table


def _metrics(title: str, metrics: Sequence[Mapping[str, Any]], figures: Sequence[str]) -> Table:
    table = _table(title, "slice")
    for column in ("n", "pneumonia", *(_HEADINGS.get(figure, figure) for figure in figures)):
        table.add_column(column, justify="right", no_wrap=True)
    for one in metrics:
        table.add_row(
            escape(one["name"]),
            str(one["n"]),
            str(one["positives"]),
            *(_figure(one[figure]) for figure in figures),
        )
    return table


def _table(title: str, rows: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column(rows)
    return table


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _print_operating_point(output: Mapping[str, Any], console: Console) -> None:
    point = output["operating_point"]
    console.print(
        f"Operating point of {escape(output['name'])}: probability of at least "
        f"{point['threshold']:.3f} ({point['chosen_by']}; {point['positives']} images with, "
        f"{point['negatives']} without)."
    )
    if reason := output["calibration"]["reason"]:
        method = output["calibration"]["method"]
        console.print(f"[yellow]Calibrated by {method}: {escape(reason)}.[/]")


def _print_data(summary: Mapping[str, Any], console: Console) -> None:
    data = summary["data"]
    fates = " + ".join(f"{count:,} {fate}" for fate, count in data["fates"].items() if count)
    console.print(f"Data: {data['read']:,} read = {fates}.", soft_wrap=True)
    for reason, count in data["left_out"].items():
        console.print(f"  {count:>7,} {escape(reason)}", soft_wrap=True)
    for reason, count in data["suspects"].items():
        console.print(f"[yellow]  {count:>7,} kept, but: {escape(reason)}[/]", soft_wrap=True)
    for note in summary["data_gate"]["notes"]:
        console.print(escape(note), soft_wrap=True)
    problems = summary["data_gate"]["problems"]
    if problems:
        found = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        console.print(
            f"[bold yellow]The data has {found}, accepted by data_gate.on_failure=warn:[/]"
        )
        for number, one in enumerate(problems, start=1):
            text = f"  {number}. {one['sentence']} {one['remedy']}"
            console.print(f"[yellow]{escape(text)}[/]", soft_wrap=True)


def _print_verdict(summary: Mapping[str, Any], console: Console) -> None:
    blessed = summary["verdict"] == "blessed"
    console.print()
    console.print("[bold green]Blessed[/]" if blessed else "[bold red]Not blessed[/]")
    for gate in summary["gates"]:
        mark = _MARKS[gate["verdict"]]
        console.print(f"  {mark} {gate['name']}: {escape(gate['sentence'])}", soft_wrap=True)
    if summary["report_only"]:
        console.print("[yellow]evaluator.report_only: the gates were asked to refuse nothing.[/]")
    if canary := summary["infra_canary"]:
        console.print(f"On {escape(canary['server'])}:")
        for check in canary["checks"]:
            mark = _MARKS[check["verdict"]]
            console.print(f"  {mark} {check['name']}: {escape(check['sentence'])}", soft_wrap=True)
    if pushed := summary["pushed"]:
        labels = " and ".join(pushed["labels"]) or "without a label"
        where = f"version {pushed['version']}, {labels}, at {_short(pushed['path'])}"
        console.print(f"Pushed: {where}", soft_wrap=True)
        if not pushed["labels"] or not pushed["exists"]:
            console.print(
                "[yellow]No server takes it: another run has pushed since, or it was rolled back "
                "or removed. See `cxr models list`.[/]",
                soft_wrap=True,
            )
    else:
        console.print("Not pushed.")


def _print_paths(summary: Mapping[str, Any], console: Console) -> None:
    paths = summary["paths"]
    run = Path(paths["run"])
    console.print(f"\nTook {summary['seconds']:.0f} s. Reports:")
    for name, path in (
        ("report", paths["report"]),
        ("TFMA", paths["dashboard"]),
        ("model card", paths["model_card"]),
        ("Grad-CAM", paths["grad_cam"]),
        ("ingest", paths["ingest"]),
        ("data", paths["data"]),
        ("Keras model", paths["keras"]),
        ("summary", run / "summary.json"),
        ("log", paths["log"]),
    ):
        console.print(f"  {name:<12} {_short(str(path))}", soft_wrap=True)
    console.print("\nNext:")
    model = summary["pushed"]["path"] if summary["pushed"] else paths["model"]
    if is_remote(model):
        # What predicts and serves takes folders of this machine.
        console.print(f"  {escape(copying(model))}", soft_wrap=True)
        return
    commands = [
        f"{_program('cxr')} predict {_quoted(paths['example_image'])} --model {_quoted(model)}",
        f"{_program('tensorboard')} --logdir {_quoted(paths['tensorboard'])}",
    ]
    if summary["pushed"]:
        served = _quoted(str(run / "serving" / FILE_NAME))
        commands.append(f"{_program('cxr')} serve --model-config-file {served}")
    for command in commands:
        console.print(f"  {escape(command)}", soft_wrap=True)


def _program(name: str) -> str:
    """A command as it can be typed here, whether or not the environment is activated."""
    return name if shutil.which(name) else _quoted(str(Path(sys.executable).parent / name))


def _quoted(path: str) -> str:
    return shlex.quote(_short(path))


def _short(path: str) -> str:
    """A path as one would type it here."""
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except ValueError:
        return path
