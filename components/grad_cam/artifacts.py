"""What the node puts out."""

from __future__ import annotations

from tfx.types import artifact


class ExplanationReport(artifact.Artifact):
    """A folder with explained cases.

    Layout, of the case with the number 0001:
      report.html: the report, a page that needs this folder and no network.
      cases.json: what the report says, for programs.
      films/0001.jpg: the film, for the page.
      heat/0001.png: the heat map alone, for the page to lay on the film.
      overlays/0001.png: the heat map on the film, with known boxes and a colour bar.
    """

    TYPE_NAME = "components.ExplanationReport"
