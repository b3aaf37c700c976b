"""What the node puts out, besides Examples."""

from __future__ import annotations

from tfx.types import artifact


class IngestReport(artifact.Artifact):
    """What was read, kept and left out, with reasons: `ingest.json`, and `ingest.html`."""

    TYPE_NAME = "components.IngestReport"
