"""Whether the data is that of an earlier run: its files are no part of Kubeflow's cache key."""

from __future__ import annotations

from components.example_gen.datasets import registry
from components.example_gen.datasets.files import join, place
from pipeline.config import Config


def data_fingerprint(config: Config, data_root: str) -> str:
    """A digest that changes when a file of the datasets comes, goes or is rewritten.

    Args:
      config: the experiment.
      data_root: where the datasets are, as this machine sees it.

    Returns:
      The digest; empty where this machine does not see the folder.

    Raises:
      DatasetError: if the folder is there, and does not hold the datasets.
    """
    root = place(data_root)
    if not root.is_dir():
        return ""
    listings = [
        registry.list_files(name, join(root, source.folder), source, config.data.labels)
        for name, source in config.data.datasets.items()
    ]
    return "-".join(found.fingerprint() for found in listings)
