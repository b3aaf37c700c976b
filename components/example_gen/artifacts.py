"""What the node puts out, besides Examples."""

from __future__ import annotations

from tfx.types import artifact


class IngestReport(artifact.Artifact):
    """`ingest.json`: what was read, kept and left out, with reasons."""

    TYPE_NAME = "components.IngestReport"
