"""The `cxr` command."""

from __future__ import annotations

import importlib
import sys

import click

from components.disclaimer import DISCLAIMER
from components.errors import InputError

# Subcommands are imported when they are used: TFX alone takes ten seconds to import.
_COMMANDS = {
    "run": ("pipeline.commands.run", "Run an experiment: from files to a pushed model."),
    "data": ("pipeline.commands.data", "Get, make or look at a dataset."),
    "predict": ("pipeline.commands.predict", "Classify X-rays with a trained model."),
    "explain": ("pipeline.commands.explain", "Show where a model looks on a test film."),
    "serve": ("pipeline.commands.serve", "Serve a model over gRPC and REST, with a page."),
    "models": ("pipeline.commands.models", "List pushed versions; promote or roll back one."),
    "drift": ("pipeline.commands.drift", "Compare a served model's requests with its training."),
    "report": ("pipeline.commands.report", "Open, list or compare the reports of runs."),
    "runs": ("pipeline.commands.runs", "List runs; show one; trace a model; free their space."),
    "results": ("pipeline.commands.results", "Measure recipes over several seeds, as a table."),
    "matrix": ("pipeline.commands.matrix", "Train on one dataset, test on the others."),
    "compile": ("pipeline.commands.compile", "Write an experiment's pipeline for Kubeflow."),
    "submit": ("pipeline.commands.submit", "Run an experiment on Kubeflow Pipelines."),
}


class _LazyGroup(click.Group):
    """A group that lists its commands without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(_COMMANDS[cmd_name][0])
        return getattr(module, cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


@click.command(
    cls=_LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=f"{DISCLAIMER} Exit codes: 0 done (and blessed), 3 done but not blessed, 2 usage or "
    "input error, 1 failure.",
)
@click.version_option(package_name="cxr")
def cli() -> None:
    """From chest X-ray files to a served, explained, evaluated pneumonia classifier."""


def main() -> None:
    """Run the command; a user's mistake is a message and exit code 2, never a traceback."""
    try:
        cli()
    except InputError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(2)
    except (FileNotFoundError, FileExistsError, NotADirectoryError, PermissionError) as error:
        click.echo(f"Error: {error.filename}: {error.strerror}", err=True)
        sys.exit(2)
