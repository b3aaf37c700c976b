"""What the node puts out."""

from __future__ import annotations

from tfx.types import artifact


class ExplanationReport(artifact.Artifact):
    """A folder with explained cases.

    Layout:
      report.html: the report, one file that needs no network.
      cases.json: what the report says, for programs.
      overlays/*.png: the heat maps on their films.
    """

    TYPE_NAME = "components.ExplanationReport"
