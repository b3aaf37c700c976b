"""What the node puts out."""

from __future__ import annotations

from tfx.types import artifact


class RobustnessReport(artifact.Artifact):
    """How well a model tells worse films: `robustness.json`, see `figures.Robustness`."""

    TYPE_NAME = "components.RobustnessReport"
