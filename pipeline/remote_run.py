"""A run whose artifacts are in a store: its pages are copied to where those of a local run are."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Mapping
from pathlib import Path

from tfx.dsl.io import fileio

from components import storage
from components.errors import InputError
from components.trainer import cluster
from components.trainer.settings import Devices
from pipeline.run_record import NodeRecord

_OWNER = ".cxr-owner"
# What people open; a few MB.
_PAGES = {
    "XrayExampleGen": "report",
    "DataReport": "report",
    "GradCamReport": "report",
    "EvaluationReport": "report",
}


def require_common_folders(devices: Devices, store: str) -> None:
    """Refuse workers on other machines: they would look for the Trainer's copies on their own.

    Args:
      devices: the Trainer's.
      store: URI of the folder that has the artifacts.

    Raises:
      InputError: if TF_CONFIG names such workers.
    """
    if devices.strategy == "multi_worker" and cluster.from_environment() is not None:
        raise InputError(
            f"TF_CONFIG names workers on other machines, and {store} is in a store, of which the "
            "Trainer reads copies on its own disk: give --pipeline-root a folder of a volume that "
            "all of them mount, or unset TF_CONFIG to have the workers on this machine"
        )


def claim(store: str, owner: str) -> None:
    """Have a store hold the artifacts of one folder's runs alone.

    Args:
      store: URI of the folder that has them.
      owner: of the run's folder, see `RunFolder.note`.

    Raises:
      InputError: if they are those of runs that are recorded elsewhere: both would count their
        artifacts from 1, and write over one another's.
    """
    note = f"{store}/{_OWNER}"
    if not fileio.exists(note):
        with fileio.open(note, "wb") as file:
            file.write(owner.encode())
        return
    with fileio.open(note, "rb") as file:
        if file.read().decode() == owner:
            return
    raise InputError(
        f"{store} has artifacts of runs that are recorded in another folder or on another machine: "
        f"give another --pipeline-root, or delete {note} if those records are gone and {store} is "
        "empty otherwise"
    )


def with_local_pages(
    nodes: Mapping[str, NodeRecord], store: str, folder: Path
) -> dict[str, NodeRecord]:
    """Copy the pages of a run, so that browsers and `cxr report` find them.

    Args:
      nodes: what ML Metadata holds of the run.
      store: URI of the folder that has its artifacts.
      folder: the run's folder on this machine.

    Returns:
      The nodes, with the pages where they are now.
    """
    found = dict(nodes)
    for name, key in _PAGES.items():
        page = nodes[name].outputs[key]
        local = folder / page.uri.removeprefix(f"{store}/")
        if not local.is_dir():
            unfinished = local.with_name(f"{local.name}.unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.parent.mkdir(parents=True, exist_ok=True)
            storage.download(page.uri, unfinished)
            unfinished.rename(local)
        outputs = {**nodes[name].outputs, key: dataclasses.replace(page, uri=str(local))}
        found[name] = dataclasses.replace(nodes[name], outputs=outputs)
    return found
