"""What the node puts out."""

from __future__ import annotations

from tfx.types import artifact


class ExplanationMeasures(artifact.Artifact):
    """How good a model's explanations are.

    Layout:
      explanation.json: the figures, see `measures.Measures`.
      films.json: what each film gave, see `measures.FilmRow`.
    """

    TYPE_NAME = "components.ExplanationMeasures"
