"""What the node puts out."""

from __future__ import annotations

from tfx.types import artifact


class ModelReport(artifact.Artifact):
    """All that is known of a model, for people.

    Layout:
      report.html: the report, one file that needs no network.
      tfma.html: TFMA's own dashboard, likewise; where there was an evaluation by TFMA.
      model_card.md, model_card.html: the model card.
      figures.json: what they are made of, for programs, see `figures.Figures`.
    """

    TYPE_NAME = "components.ModelReport"
