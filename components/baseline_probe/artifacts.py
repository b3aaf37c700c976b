"""What the node puts out."""

from __future__ import annotations

from tfx.types import artifact


class ProbeReport(artifact.Artifact):
    """What trivial models reach.

    Layout:
      probe.json: their AUCs, see `report.ProbeIndex`.
      test_scores.npz: what they say of each test image, see `report.read_probe`.
    """

    TYPE_NAME = "components.ProbeReport"
