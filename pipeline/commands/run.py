"""`cxr run`: an experiment from files to a pushed model."""

from __future__ import annotations

import contextlib
import datetime
import json
import sys
import traceback
from pathlib import Path, PurePath
from typing import Any, TextIO

import click
from rich.console import Console
from rich.markup import escape

from components.errors import InputError, find_mistake
from components.example_gen.datasets import listing, registry
from components.example_gen.datasets.files import Place, join, place
from components.example_gen.datasets.listing import DatasetError, Listing
from components.example_gen.datasets.source import Source
from components.storage import is_remote, remove_left, require_writable
from pipeline.config import Config, ConfigError, experiment_names, load_config
from pipeline.console import noise_to
from pipeline.metadata import MetadataError, check_connection
from pipeline.run_folder import RunFolder
from serving.durable import replace_file

EXIT_FAILURE, EXIT_NOT_BLESSED = 1, 3


@click.command(epilog=f"Experiments: {', '.join(experiment_names())}.")
@click.argument("experiment")
@click.option(
    "--set", "overrides", metavar="KEY=VALUE", multiple=True, help="Change a setting; repeatable."
)
@click.option("--data-root", metavar="DIR", help="Where the datasets are: a folder, or a URL.")
@click.option(
    "--pipeline-root",
    metavar="DIR",
    help="Where the run is kept. In a store (gs://, s3://, hdfs://) that are artifacts and served "
    "versions; logs, records and pages are in runs/EXPERIMENT then.  [default: runs/EXPERIMENT]",
)
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def run(
    experiment: str,
    overrides: tuple[str, ...],
    data_root: str | None,
    pipeline_root: str | None,
    as_json: bool,
) -> None:
    """Run EXPERIMENT, by name or as the path of a YAML file.

    What has not changed since the last run comes from its cache. Exit codes: 0 done and blessed,
    3 done but not blessed, 2 usage or input error, 1 failure.
    """
    config = load_config(experiment, overrides)
    store = pipeline_root.rstrip("/") if pipeline_root and is_remote(pipeline_root) else ""
    root = Path("runs", config.name) if store or not pipeline_root else Path(pipeline_root)
    folder = RunFolder(root.resolve())
    started = datetime.datetime.now()
    log = folder.logs / f"{started:%Y-%m-%dT%H-%M-%S}.log"
    with folder.alone(), noise_to(log) as (out, err):
        console = Console(file=err if as_json else out, highlight=False)
        console.print(f"[bold]cxr {config.name}[/]: {config.description}", soft_wrap=True)
        console.print(f"[dim]log: {_short(log)}[/]", soft_wrap=True)
        try:
            summary = _run(config, folder, store, data_root, log, console)
        except InputError:
            raise
        except Exception as error:
            traceback.print_exc()
            _report_failure(error, log, console)
            sys.exit(_exit_code(error))
        _print_summary(summary, as_json, out, console)
    sys.exit(0 if summary["verdict"] == "blessed" else EXIT_NOT_BLESSED)


def _run(
    config: Config,
    folder: RunFolder,
    store: str,
    data_root: str | None,
    log: Path,
    console: Console,
) -> dict[str, Any]:
    check_connection(config.metadata, folder.metadata)
    data = _data_root(config, folder.root, data_root, console)
    sources: dict[str, Place] = {
        name: _find_root(name, join(data, source.folder).resolve(), source)
        for name, source in config.data.datasets.items()
    }
    listings = [
        registry.list_files(name, root, config.data.datasets[name], config.data.labels)
        for name, root in sources.items()
    ]
    for found in listings:
        _print_listing(found, console)
    fingerprint = "-".join(found.fingerprint() for found in listings)

    with console.status("starting TensorFlow and TFX"):
        from components.trainer.weights import settle_weights
        from pipeline import remote_run
        from pipeline.display import Display
        from pipeline.run_record import last_run, note_failure
        from pipeline.runners import local
        from pipeline.summary import summarize

    remove_left()
    if store:
        remote_run.require_common_folders(config.trainer.devices, store)
        require_writable(store)
    folder.note(config.metadata, config.pipeline_name, store, remote_run.claim)
    with Display(console) as display:
        trainer = settle_weights(config.trainer, config.transform.image_size)
        config = config.model_copy(update={"trainer": trainer})
        pipeline = local.build(config, folder, sources, fingerprint)
        display.nodes = len(pipeline.components)
        try:
            local.run(pipeline)
        except Exception as error:
            # That the reason cannot be noted is no reason to hide it.
            with contextlib.suppress(MetadataError):
                note_failure(config, folder, _message(error))
            raise
    nodes = last_run(config, folder)
    summary = summarize(
        config,
        remote_run.with_local_pages(nodes, store, folder.root) if store else nodes,
        seconds=display.seconds,
        run_folder=folder.root,
        example_image=_example(listings[0].files[0].path),
        log=log,
    )
    replace_file(folder.summary, json.dumps(summary, indent=2) + "\n")
    return summary


def _example(path: str) -> str:
    """A film to try the model on; commands read those on this machine alone."""
    return f"FILM{PurePath(path).suffix}" if is_remote(path) else path


def _find_root(dataset: str, folder: Place, source: Source) -> Place:
    try:
        return registry.find_root(dataset, folder, source)
    except DatasetError as error:
        raise ConfigError(
            f"{error}. Say where it is with --data-root DIR, or with data.datasets.{dataset}.folder"
        ) from error


def _data_root(config: Config, root: Path, given: str | None, console: Console) -> Place:
    """Where the datasets are; made first, where the experiment wants synthetic ones."""
    if given is None and config.data.synthesize is not None:
        return _synthesized(config, root / "data", console)
    if given is not None:
        if not place(given).is_dir():
            raise ConfigError(f"--data-root: no such folder: {given}")
        return place(given)
    if config.data.root is None or not place(config.data.root).is_dir():
        raise ConfigError(
            f"{config.file}: data.root: no such folder: {config.data.root}. Say where the "
            "datasets are with --data-root DIR."
        )
    return place(config.data.root)


def _synthesized(config: Config, folder: Path, console: Console) -> Path:
    from components.example_gen.synthetic.layouts import synthesize

    wanted = config.data.synthesize
    assert wanted is not None
    # A folder of its own for each set: other settings do not meet the films of earlier ones.
    sizes = "-".join(f"{name}{images}" for name, images in sorted(wanted.images.items()))
    folder = folder / f"{sizes}-seed{wanted.seed}"
    for dataset, images in wanted.images.items():
        what = f"synthetic {dataset} X-rays"
        with console.status(f"drawing {images:,} {what}") as status:
            if not console.is_terminal:
                console.print(f"  drawing {images:,} {what}")
            try:
                synthesize(
                    dataset,
                    images=images,
                    out=folder,
                    seed=wanted.seed,
                    progress=lambda done, total, what=what: status.update(  # type: ignore[misc]
                        f"drawing {what}: {done:,} of {total:,}"
                    ),
                )
            except ValueError as error:
                raise DatasetError(str(error)) from error
    return folder


def _print_listing(found: Listing, console: Console) -> None:
    patients = len({file.patient_id for file in found.files})
    line = f"  {found.dataset}: {len(found.files):,} images of {patients:,} patients"
    reasons = listing.count_reasons(found.left_out)
    if reasons:
        line += "; not used: " + ", ".join(f"{n:,} {reason}" for reason, n in reasons.items())
    console.print(escape(line), soft_wrap=True)


def _print_summary(summary: dict[str, Any], as_json: bool, out: TextIO, console: Console) -> None:
    from pipeline.summary_page import print_summary

    if as_json:
        print(json.dumps(summary, indent=2), file=out)
    else:
        print_summary(summary, console)


def _exit_code(error: BaseException) -> int:
    return 2 if find_mistake(error) else EXIT_FAILURE


def _message(error: BaseException) -> str:
    mistake = find_mistake(error)
    return str(mistake) if mistake else f"{type(error).__name__}: {error}"


def _report_failure(error: BaseException, log: Path, console: Console) -> None:
    console.print(f"[bold red]✗[/] {escape(_message(error))}", soft_wrap=True)
    console.print(f"The whole story is in {escape(_short(log))}", soft_wrap=True)


def _short(path: Path) -> str:
    """A path as one would type it here."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
