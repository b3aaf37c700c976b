"""`cxr runs`: what ran, how it ended, where a model came from, and what can be deleted."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from components.errors import InputError
from pipeline.history import tables
from pipeline.history.collection import (
    abandoned_trainings,
    collectable,
    delete,
    kept_runs,
    needed,
)
from pipeline.history.graph import Artifact, History, Run
from pipeline.history.lineage import (
    TRAINER,
    mermaid,
    model_at,
    model_of,
    model_of_version,
    trace,
)
from pipeline.history.overview import node_overviews, overview
from pipeline.metadata import open_store
from pipeline.run_folder import RunFolder
from pipeline.run_record import histories
from serving.version_folders import version_folders

_ROOT = click.option(
    "--root",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("runs"),
    show_default=True,
    help="Where the experiments were run.",
)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON, and nothing else.")


class NoRunError(InputError):
    """A run, model or version that is not there; says where it was looked for."""


@dataclasses.dataclass(frozen=True)
class _Place:
    """A folder of runs, and what is known of them."""

    name: str
    folder: RunFolder
    histories: Sequence[History]
    running_since: float | None

    def names(self) -> list[tuple[str, History, Run]]:
        """Every run by the name that commands take, the newest first."""
        several = len(self.histories) > 1
        found = [
            (f"{self.name}:{history.pipeline}" if several else self.name, history, run)
            for history in self.histories
            for run in history.runs
        ]
        return sorted(found, key=lambda one: one[2].started, reverse=True)


@click.group()
def runs() -> None:
    """Look at runs in ML Metadata, trace a model back to its data, and free disk space.

    A RUN is an experiment, whose newest run is meant, or EXPERIMENT/NUMBER, as `list` shows them.
    An EXPERIMENT is a name below the root, or the path of a folder. Research and education only:
    not a diagnostic device.
    """


@runs.command(name="list")
@click.argument("experiment", required=False)
@_ROOT
@_JSON
def list_(experiment: str | None, root: Path, as_json: bool) -> None:
    """List the runs of EXPERIMENT, or of all, the newest first."""
    found = [
        overview(history, run, name, place.running_since)
        for place in _places(experiment, root)
        for name, history, run in place.names()
    ]
    found.sort(key=lambda one: one.started, reverse=True)
    if as_json:
        _print_json([dataclasses.asdict(one) for one in found])
    else:
        tables.print_runs(found)


@runs.command()
@click.argument("run")
@_ROOT
@_JSON
def show(run: str, root: Path, as_json: bool) -> None:
    """Show each node of RUN: from the cache or executed, how long, its outputs, its error."""
    place, name, history, found = _run(run, root)
    told = overview(history, found, name, place.running_since)
    nodes = node_overviews(history, found, place.running_since)
    log = _log(place.folder, found)
    if as_json:
        _print_json(
            dataclasses.asdict(told)
            | {"log": log, "nodes": [dataclasses.asdict(node) for node in nodes]}
        )
    else:
        tables.print_run(told, nodes, place.folder.root, log)


@runs.command()
@click.argument("what", metavar="RUN|VERSION|FOLDER")
@_ROOT
@_JSON
@click.option("--mermaid", "as_mermaid", is_flag=True, help="Print a Mermaid flow chart.")
def lineage(what: str, root: Path, as_json: bool, as_mermaid: bool) -> None:
    """Trace a model: its evaluation and gate, and back to examples, data and code.

    The model is that of a RUN, of a pushed VERSION, or in a FOLDER: a version's, or an artifact's.
    """
    place, history, model = _model(what, root)
    found = trace(history, model)
    if as_mermaid:
        click.echo(mermaid(found))
    elif as_json:
        _print_json(found.as_json())
    else:
        tables.print_lineage(found, place.folder.root)


@runs.command()
@click.argument("experiment")
@click.option(
    "--keep",
    type=click.IntRange(min=1),
    default=3,
    show_default=True,
    help="How many complete runs stay, the newest, with all that was started since.",
)
@click.option(
    "--unfinished-days",
    type=click.FloatRange(min=1),
    default=7.0,
    show_default=True,
    help="Trainings, of any experiment, that were killed so long ago and not taken up again are "
    "given up.",
)
@click.option("--delete", "for_good", is_flag=True, help="Delete; without it, only say what.")
@_ROOT
@_JSON
def gc(
    experiment: str, keep: int, unfinished_days: float, for_good: bool, root: Path, as_json: bool
) -> None:
    """Delete what no kept run of EXPERIMENT, and no model in its serving folder, came from.

    The model that was blessed last stays, too. ML Metadata remembers every run; the cache trusts
    nothing that was deleted.
    """
    (place,) = _places(experiment, root)
    if place.folder.store:
        raise InputError(
            f"{place.folder.root}: its artifacts are in {place.folder.store}: what is in a store "
            "is deleted there, by its own rules of expiry"
        )
    # Nobody writes meanwhile, nor starts to.
    with place.folder.alone():
        # A node that was at work when they were first read may have ended since.
        place = dataclasses.replace(place, histories=histories(place.folder))
        versions = {str(number) for number in version_folders(place.folder.serving)}
        kept = {one.pipeline: kept_runs(one, keep, versions) for one in place.histories}
        ids = {one for each in place.histories for one in needed(each, kept[each.pipeline])}
        items = collectable(place.histories, place.folder.artifacts, ids)
        for cache in _caches(place.histories):
            items += abandoned_trainings(cache, unfinished_days)
        if for_good and items:
            store = open_store(place.folder.known().metadata, place.folder.metadata, write=True)
            delete(store, items, place.folder.artifacts)
    numbers = [run.number for several in kept.values() for run in several]
    if as_json:
        _print_json(
            {
                "deleted": for_good,
                "kept_runs": numbers,
                "bytes": sum(item.size for item in items),
                "items": [dataclasses.asdict(item) for item in items],
            }
        )
    else:
        tables.print_collection(items, numbers, place.folder.root, deleted=for_good)


def _places(experiment: str | None, root: Path) -> list[_Place]:
    """The folders of runs: that of an experiment, or all below the root."""
    if experiment is None:
        folders = sorted(path for path in root.glob("*") if path.is_dir())
    else:
        folders = [path for path in (root / experiment, Path(experiment)) if path.is_dir()][:1]
    found = []
    for path in folders:
        folder = RunFolder(path.resolve())
        # First, so that a run that ends meanwhile is not taken for a killed one.
        since = folder.running_since()
        if several := histories(folder):
            found.append(_Place(_name(path, root), folder, several, since))
    if not found:
        where = root if experiment is None else f"{root / experiment} and {experiment}"
        raise NoRunError(
            f"no run in ML Metadata; looked in {where}: `cxr run EXPERIMENT` makes one"
        )
    return found


def _name(path: Path, root: Path) -> str:
    """As one types it: below the root, or as a path."""
    return path.name if path.parent == root else str(path)


def _run(run: str, root: Path) -> tuple[_Place, str, History, Run]:
    experiment, _, number = run.rpartition("/")
    is_numbered = bool(experiment) and number.isdecimal() and not (root / run).is_dir()
    wanted = (experiment if is_numbered else run).partition(":")
    (place,) = _places(wanted[0], root)
    known = [one for one in place.names() if not wanted[2] or one[1].pipeline == wanted[2]]
    if is_numbered:
        known = [one for one in known if one[2].number == int(number)]
    if not known:
        raise NoRunError(f"no run {run!r}: see cxr runs list {wanted[0]}")
    return (place, *known[0])


def _model(what: str, root: Path) -> tuple[_Place, History, Artifact]:
    if what.isdecimal() and not (root / what).exists():
        for place in _places(None, root):
            for history in place.histories:
                if model := model_of_version(history, what):
                    return place, history, model
        raise NoRunError(f"no run below {root} pushed a version {what}: see cxr runs list")
    path = Path(what).resolve()
    if path.is_dir():
        for parent in path.parents:
            if (parent / "metadata.sqlite").is_file() or (parent / "metadata.json").is_file():
                (place,) = _places(str(parent), root)
                for history in place.histories:
                    if model := model_at(history, path):
                        return place, history, model
    place, name, history, run = _run(what, root)
    found = model_of(history, run)
    if found is None:
        raise NoRunError(f"{name}/{run.number} did not get as far as the {TRAINER}: no model")
    return place, history, found


def _log(folder: RunFolder, run: Run) -> str | None:
    """The log of a run: the last that was begun before it."""
    begun = [
        path
        for path in sorted(folder.logs.glob("*.log"))
        if path.stem.replace("-", ":") <= _key(run)
    ]
    return str(begun[-1]) if begun else None


def _key(run: Run) -> str:
    return run.id.partition(".")[0].replace("-", ":")


def _caches(several: Sequence[History]) -> set[Path]:
    """Where the Trainers of these runs keep what they have not finished."""
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cxr"
    found = {default}
    for history in several:
        for execution in history.executions():
            if execution.node == TRAINER:
                settings = json.loads(execution.settings.get("custom_config", "{}"))
                folder = settings.get("settings", {}).get("cache", {}).get("folder")
                found.add(Path(folder) if folder else default)
    return found


def _print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2, default=str))
