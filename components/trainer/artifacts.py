"""What the Embedder puts out, and the Trainer, the Tuner and the cross-dataset matrix read."""

from __future__ import annotations

from tfx.types import artifact


class Activations(artifact.Artifact):
    """A folder with the frozen part's answers, by image; see `components.trainer.embedded`."""

    TYPE_NAME = "components.Activations"
