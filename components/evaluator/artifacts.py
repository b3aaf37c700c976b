"""What the nodes put out."""

from __future__ import annotations

from tfx.types import artifact


class Judgement(artifact.Artifact):
    """The figures of a model, and what the gates made of them.

    Layout:
      judgement.json: see `judgement.Judgement`.
    """

    TYPE_NAME = "components.Judgement"
