"""What to do with files that are in a bucket, for commands that take those of this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from components.storage import is_remote

_TOOLS = {
    "gs": "gcloud storage cp -r",
    "s3": "aws s3 cp --recursive",
    "hdfs": "hdfs dfs -get",
}


def copying(uri: str) -> str:
    """The command that copies a remote folder here."""
    uri = uri.rstrip("/")
    scheme, _, rest = uri.partition("://")
    if scheme == "minio":
        scheme, uri = "s3", f"s3://{rest}"
    return f"{_TOOLS.get(scheme, 'cp -r')} {uri} {rest.rpartition('/')[2]}"


class LocalPath(click.Path):
    """A path of this machine on the command line; of a URI it says how to copy it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(path_type=Path, **options)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path, or a usage error."""
        if is_remote(str(value)):
            self.fail(f"takes what is on this machine: first {copying(str(value))}", param, ctx)
        return super().convert(value, param, ctx)
