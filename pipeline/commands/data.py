"""`cxr data`: get a public dataset, make synthetic X-rays, or look at a dataset before a run."""

from __future__ import annotations

import collections
import contextlib
import json
import typing
from collections.abc import Iterator
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress, TaskID
from rich.table import Table

from components.disclaimer import DISCLAIMER
from components.example_gen.datasets import listing, registry
from components.example_gen.datasets.files import Place
from components.example_gen.datasets.listing import DatasetError, Listing
from components.example_gen.public import checksums, published
from components.example_gen.public import fetch as fetching
from components.example_gen.public.fetch import Fetched
from components.example_gen.record import PATHOLOGIES, Labels, class_names
from pipeline.commands.folder import DataFolder

_DATASET = click.Choice(sorted(registry.DATASETS))
_SYNTHETIC = click.Choice(["nih", "pediatric"])


@click.group()
def data() -> None:
    """Get a public dataset, make synthetic X-rays, or look at a dataset."""


@data.command()
@click.option("--dataset", type=_SYNTHETIC, required=True, help="Whose layout and look.")
@click.option("--images", type=click.IntRange(min=1), required=True, help="How many.")
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Where."
)
@click.option("--seed", type=int, default=7, show_default=True, help="Another seed, other films.")
def synthesize(dataset: str, images: int, out: Path, seed: int) -> None:
    """Draw synthetic chest X-rays in a dataset's real layout; the same seed, the same bytes."""
    from components.example_gen.synthetic import layouts

    console = Console(stderr=True)
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task(f"drawing {dataset} X-rays", total=images)
        try:
            made = layouts.synthesize(
                dataset,
                images=images,
                out=out,
                seed=seed,
                progress=lambda done, total: progress.update(task, completed=done, total=total),
            )
        except ValueError as error:
            raise DatasetError(str(error)) from error
    click.echo(
        f"{made.images:,} synthetic {dataset} X-rays of {made.patients:,} patients in {made.root}"
    )


@data.command()
@click.argument("dataset", type=click.Choice(sorted(published.DATASETS)))
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Where."
)
@click.option(
    "--source",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Kaggle's archive.zip, if it is here already.  [default: the network]",
)
def fetch(dataset: str, out: Path, source: Path | None) -> None:
    """Download a public dataset from Kaggle, or verify the one that is there.

    An interrupted download goes on where it stopped. Images are counted, and SHA256SUMS in the
    dataset's folder records every file; run again, the command compares with it. Without a
    network it tells how to get the files by hand.
    """
    public = published.DATASETS[dataset]
    room, kept = fetching.needed_bytes(public, source), public.kept_bytes
    click.echo(
        f"{public.title}\n"
        f"Licence: {public.licence}\n"
        f"Cite: {public.citation}\n"
        f"Size: {published.gigabytes(kept)}, and {published.gigabytes(room)} while it is unpacked\n"
        f"{DISCLAIMER}\n"
    )
    with _bars() as show:
        fetched = fetching.fetch(public, out, source=source, progress=show)
    click.echo(_told(fetched, out))


@contextlib.contextmanager
def _bars() -> Iterator[fetching.Progress]:
    """A bar for each step, live from the first report of it.

    Not before: kagglehub draws the download itself, and two live bars overwrite each other.
    """
    progress = Progress(console=Console(stderr=True), transient=True)
    tasks: dict[str, TaskID] = {}

    def show(what: str, done: int, total: int) -> None:
        if what not in tasks:
            progress.start()
            tasks[what] = progress.add_task(what, total=total)
        progress.update(tasks[what], completed=done)

    try:
        yield show
    finally:
        if tasks:
            progress.stop()


def _told(fetched: Fetched, out: Path) -> str:
    """What the user of `fetch` is told in the end."""
    before = "was there" if fetched.found else "is there now"
    checked = "is new" if fetched.recorded else "agrees with every file"
    lines = [
        f"{fetched.images:,} images in {fetched.root}: it {before}, and is whole. "
        f"{checksums.FILE} {checked}."
    ]
    if fetched.others:
        lines.append(
            f"{len(fetched.others):,} other files there are no part of it, such as "
            f"{fetched.others[0]}; they were left alone."
        )
    return "\n".join([*lines, f"Next: cxr data inspect {out}", DISCLAIMER])


@data.command()
@click.argument("folder", type=DataFolder())
@click.option("--dataset", type=_DATASET, help="[default: every one that is there]")
@click.option(
    "--labels",
    type=click.Choice(typing.get_args(Labels)),
    default="pneumonia",
    show_default=True,
    help="What images are labelled with, as in data.labels.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the counts as JSON.")
def inspect(folder: Place, dataset: str | None, labels: Labels, as_json: bool) -> None:
    """List the datasets in FOLDER: images, patients and classes, and what would be left out.

    FOLDER may be a URL, such as gs://bucket/x-rays.

    No image is opened: damaged ones are found when they are read.
    """
    found: list[tuple[Place, Listing]] = []
    unusable: list[str] = []
    for name in [dataset] if dataset else sorted(registry.DATASETS):
        try:
            root = registry.find_root(name, folder)
        except DatasetError:
            if dataset:
                raise
            continue
        try:
            found.append((root, registry.list_files(name, root, labels=labels)))
        except DatasetError as error:  # the other sets are still worth to be listed
            unusable.append(f"{name}: {error}")
    if not found:
        names = " nor ".join(sorted(registry.DATASETS))
        raise DatasetError("\n".join(unusable) or f"{folder} holds neither the {names} dataset")
    for text in unusable:
        click.echo(text, err=True)
    if as_json:
        click.echo(json.dumps([_counts(root, one, labels) for root, one in found], indent=2))
        return
    for root, one in found:
        _print(_counts(root, one, labels))


def _counts(root: Place, found: Listing, labels: Labels) -> dict:
    return {
        "dataset": found.dataset,
        "root": str(root),
        "labels": labels,
        "images": len(found.files),
        "patients": len({file.patient_id for file in found.files}),
        "classes": {
            name: sum(any(file.target) == bool(label) for file in found.files)
            for label, name in enumerate(class_names(labels))
        },
        "findings": dict(
            collections.Counter(f for file in found.files for f in file.findings).most_common()
        ),
        "with_boxes": sum(bool(file.boxes) for file in found.files),
        "left_out": listing.count_reasons(found.left_out),
    }


def _print(counts: dict) -> None:
    click.echo(f"{counts['dataset']} in {counts['root']}")
    table = Table()
    table.add_column("")
    table.add_column("images", justify="right")
    table.add_row("usable", f"{counts['images']:,}", style="bold")
    for name, count in counts["classes"].items():
        table.add_row(f"  {name}", f"{count:,}")
    if counts["labels"] == "findings":
        for name in PATHOLOGIES:
            table.add_row(f"    {name.replace('_', ' ')}", f"{counts['findings'].get(name, 0):,}")
    table.add_row("with boxes", f"{counts['with_boxes']:,}")
    for reason, count in counts["left_out"].items():
        table.add_row(f"not used: {reason}", f"{count:,}")
    table.add_section()
    table.add_row("patients", f"{counts['patients']:,}")
    Console().print(table)
