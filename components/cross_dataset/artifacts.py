"""What the node puts out."""

from __future__ import annotations

from tfx.types import artifact


class CrossDatasetReport(artifact.Artifact):
    """How a head that learnt from one dataset does on the others.

    Layout:
      matrix.json: a `matrix.Matrix`.
      matrix.html: the same for people, one file that needs no network.
    """

    TYPE_NAME = "components.CrossDatasetReport"
