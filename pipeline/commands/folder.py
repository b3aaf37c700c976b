"""A folder of datasets on the command line: a path, or the URL of one in a store."""

from __future__ import annotations

from pathlib import Path

import click

from components.example_gen.datasets.files import Place
from components.example_gen.datasets.remote import RemotePath
from components.storage import is_remote


class DataFolder(click.ParamType):
    """A folder that is there, or a URL, which is looked at later."""

    name = "directory"

    def convert(
        self, value: str | Path, param: click.Parameter | None, ctx: click.Context | None
    ) -> Place:
        """What the argument means, or a usage error."""
        if is_remote(str(value)):
            return RemotePath(str(value))
        folder = click.Path(path_type=Path, exists=True, file_okay=False)
        return Path(folder.convert(value, param, ctx))
