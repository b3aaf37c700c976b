"""What the nodes put out."""

from __future__ import annotations

from tfx.types import artifact


class DataQualityReport(artifact.Artifact):
    """What was found in the data.

    Layout:
      data.html: the report, one file that needs no network.
      data.json: what it says, for programs.
    """

    TYPE_NAME = "components.DataQualityReport"


class StatisticsBaseline(artifact.Artifact):
    """The statistics of data that was accepted, for the next run to be compared with.

    No subclass of ExampleStatistics: Kubeflow allows no properties to an artifact of one's own.

    Layout:
      Split-*/FeatureStats.pb: as in ExampleStatistics.
      made_by.json: the settings that decided which images there are.
    """

    TYPE_NAME = "components.StatisticsBaseline"
