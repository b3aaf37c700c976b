"""What the nodes put out."""

from __future__ import annotations

from tfx.types import artifact


class RunVerdict(artifact.Artifact):
    """What became of a run's model.

    Layout:
      verdict.json: see `verdict.Verdict`.
    """

    TYPE_NAME = "components.RunVerdict"


class VerdictReport(artifact.Artifact):
    """What was told of a run.

    Layout:
      verdict.md: Markdown.
    """

    TYPE_NAME = "components.VerdictReport"
