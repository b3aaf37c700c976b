"""Runs, lineages and collections, as the terminal shows them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.tree import Tree

from pipeline.history.collection import Item
from pipeline.history.lineage import GATE, Lineage, Step
from pipeline.history.overview import NodeOverview, RunOverview

_NONE = "–"
_STATES = {
    "complete": "[green]✓ complete[/]",
    "executed": "[green]✓ executed[/]",
    "cached": "[green]✓ cached[/]",
    "resolved": "[dim]✓ resolved[/]",
    "nothing found": "[dim]– nothing found[/]",
    "running": "[cyan]… running[/]",
    "killed": "[yellow]✕ killed[/]",
    "failed": "[red]✕ failed[/]",
    "not reached": "[dim]  not reached[/]",
}
_WHY = {
    "unused": "no kept run or pushed model came from them",
    "killed": "left by killed or failed nodes",
    "abandoned": "states of trainings that were killed and not taken up again",
    "interrupted": "the rest of a collection that was interrupted",
}
_UNITS = ("B", "kB", "MB", "GB", "TB")


def print_runs(runs: Iterable[RunOverview]) -> None:
    """One line for each."""
    console = Console(highlight=False)
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("run", "started (UTC)", "took", "state", "cached", "executed"):
        is_number = column in ("took", "cached", "executed")
        table.add_column(column, justify="right" if is_number else "left", no_wrap=True)
    table.add_column("outcome")
    for one in runs:
        table.add_row(
            escape(one.run),
            one.started.replace("T", " ")[:16],
            duration(one.seconds),
            _STATES[one.state],
            str(one.cached),
            str(one.executed),
            escape(_outcome(one)),
        )
    console.print(table)


def print_run(run: RunOverview, nodes: Sequence[NodeOverview], root: Path, log: str | None) -> None:
    """The nodes of a run; outputs as paths below its folder."""
    console = Console(highlight=False)
    at = f" at {run.node}" if run.node else ""
    console.print(f"[bold]{escape(run.run)}[/], {_STATES[run.state]}{escape(at)}, in {root}")
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("node", "state", "took", "outputs"):
        table.add_column(column, justify="right" if column == "took" else "left", overflow="fold")
    for node in nodes:
        places = [_below(uri, root) for uris in node.outputs.values() for uri in uris]
        table.add_row(
            node.node,
            _STATES["executed" if node.state == "complete" else node.state],
            _NONE if node.seconds is None else duration(node.seconds),
            escape("\n".join(places)),
        )
    console.print(table)
    for node in nodes:
        if node.error:
            console.print(f"[bold red]{node.node}[/]: {escape(node.error)}", soft_wrap=True)
    if log:
        console.print(f"[dim]log: {escape(_below(log, root))}[/]", soft_wrap=True)


def print_lineage(lineage: Lineage, root: Path) -> None:
    """A tree: what became of the model, and what it was made from."""
    model = _below(lineage.model.uri, root)
    tree = Tree(f"[bold]model {lineage.model.id}[/] {escape(model)}, run of {lineage.run[:19]}")
    if lineage.experiment:
        tree.add(f"settings of the experiment: {lineage.experiment[:16]}")
    for one in lineage.pushed:
        tree.add(f"[bold]pushed[/] as {one['version']}, then {one['label']}")
    verdict = {None: "not judged", True: "blessed", False: "refused"}[lineage.blessed]
    after = tree.add("[bold]used by[/]")
    for step in lineage.used_by:
        branch = after.add(_title(step) + (f": {verdict}" if step.node == GATE else ""))
        _add_places(branch, step.outputs, root)
    before = tree.add("[bold]made by[/]")
    for step in lineage.made_by:
        _add_places(before.add(_title(step)), step.inputs, root, "from ")
    data = tree.add(f"[bold]data[/] {lineage.fingerprint}")
    for name, folder in lineage.sources.items():
        data.add(escape(f"{name}: {folder}"))
    if lineage.counts:
        data.add(", ".join(f"{count:,} {what}" for what, count in lineage.counts.items()))
    Console(highlight=False).print(tree, soft_wrap=True)


def print_collection(
    items: Sequence[Item], kept: Sequence[int], root: Path, *, deleted: bool
) -> None:
    """What goes, by the reason and the node."""
    console = Console(highlight=False)
    console.print(f"Kept: runs {', '.join(map(str, kept)) or 'none'}, and what they came from.")
    groups: dict[tuple[str, str], list[Item]] = defaultdict(list)
    for item in items:
        groups[item.why, _node(item.path, root)].append(item)
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("folders", "of", "size", "why"):
        table.add_column(column, justify="right" if column in ("folders", "size") else "left")
    for (why, node), some in groups.items():
        table.add_row(str(len(some)), escape(node), size(sum(i.size for i in some)), _WHY[why])
    if items:
        console.print(table)
    total = f"{len(items)} folders, {size(sum(item.size for item in items))}"
    if deleted:
        console.print(f"Deleted: {total}.")
    elif items:
        console.print(f"Would be deleted: {total}. Nothing was: that takes --delete.")
    else:
        console.print("Nothing to delete.")


def _outcome(run: RunOverview) -> str:
    """Where it stopped, or what came of it."""
    said = [f"at {run.node}"] if run.node else []
    said += [run.verdict] if run.verdict else []
    said += [f"version {run.version}"] if run.version else []
    said += [f"AUC {name} {_figure(auc)}" for name, auc in run.auc.items()]
    return ", ".join(said) or _NONE


def duration(seconds: float) -> str:
    """For people: `0.4 s`, `61 s`, `12 min`, `3.4 h`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def size(count: float) -> str:
    """Bytes for people, in powers of 1,000."""
    for unit in _UNITS[:-1]:
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} {_UNITS[-1]}"


def _title(step: Step) -> str:
    code = f", code {step.code}" if step.code else ""
    return f"[bold]{step.node}[/][dim]{code}, settings {step.settings}[/]"


def _add_places(
    tree: Tree, places: Mapping[str, Sequence[str]], root: Path, word: str = ""
) -> None:
    for key, uris in places.items():
        for uri in uris:
            tree.add(f"{word}{key} [dim]{escape(_below(uri, root))}[/]")


def _below(uri: str, root: Path) -> str:
    return uri.removeprefix(f"{root}/")


def _node(path: Path, root: Path) -> str:
    artifacts = root / "artifacts"
    return path.relative_to(artifacts).parts[0] if path.is_relative_to(artifacts) else str(path)


def _figure(auc: float | None) -> str:
    return _NONE if auc is None else f"{auc:.3f}"
