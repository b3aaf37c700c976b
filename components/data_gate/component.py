"""The TFX nodes that look at the data before anything is trained."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from components.data_gate import executor
from components.data_gate.artifacts import DataQualityReport, StatisticsBaseline
from components.example_gen.artifacts import IngestReport


class DataReportSpec(component_spec.ComponentSpec):
    """Inputs, outputs and settings of `DataReport`."""

    INPUTS = {
        executor.STATISTICS: component_spec.ChannelParameter(
            type=standard_artifacts.ExampleStatistics
        ),
        executor.ANOMALIES: component_spec.ChannelParameter(
            type=standard_artifacts.ExampleAnomalies
        ),
        executor.SCHEMA: component_spec.ChannelParameter(type=standard_artifacts.Schema),
        executor.INGEST: component_spec.ChannelParameter(type=IngestReport),
        executor.BASELINE: component_spec.ChannelParameter(type=StatisticsBaseline, optional=True),
    }
    OUTPUTS = {executor.REPORT: component_spec.ChannelParameter(type=DataQualityReport)}
    PARAMETERS = {
        executor.SETTINGS: component_spec.ExecutionParameter(type=str),
        executor.CODE: component_spec.ExecutionParameter(type=str),
    }


class DataReport(base_component.BaseComponent):
    """Finds what is wrong with the data, and writes it down. It refuses nothing.

    Anomalies by the schema, leakage, missing classes, too many quarantined images or bad rows,
    and how far train is from the other splits and from the last accepted run.

    ```python
    last_baseline = tfx.dsl.Resolver(
        strategy_class=tfx.dsl.experimental.LatestArtifactStrategy,
        baseline=tfx.dsl.Channel(type=StatisticsBaseline),
    ).with_id("LastBaseline")
    data_report = DataReport(
        statistics=statistics_gen.outputs["statistics"],
        anomalies=example_validator.outputs["anomalies"],
        schema=schema_gen.outputs["schema"],
        ingest=example_gen.outputs["report"],
        baseline=last_baseline.outputs["baseline"],
        settings={"max_skew": 0.2},
        code=source_digest("data_gate", "example_gen"),
    )
    ```

    Component `outputs` contains:

    - `report`: a `DataQualityReport`.
    """

    SPEC_CLASS = DataReportSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.DataReportExecutor)

    def __init__(
        self,
        statistics: types.BaseChannel,
        anomalies: types.BaseChannel,
        schema: types.BaseChannel,
        ingest: types.BaseChannel,
        baseline: types.BaseChannel | None = None,
        *,
        settings: Mapping[str, Any] | None = None,
        code: str = "",
    ) -> None:
        """Construct the node.

        Args:
          statistics: an `ExampleStatistics` channel with a slice for each dataset, see
            `slices.statistics_options`.
          anomalies: an `ExampleAnomalies` channel of ExampleValidator.
          schema: a `Schema` channel of `CuratedSchema`.
          ingest: the `IngestReport` channel of ExampleGen.
          baseline: a `StatisticsBaseline` channel of the last accepted run, if there was one.
          settings: as in `DataGateSettings`, whose `on_failure` is not for this node.
          code: a digest of the source, see `source_digest`.
        """
        super().__init__(
            spec=DataReportSpec(
                statistics=statistics,
                anomalies=anomalies,
                schema=schema,
                ingest=ingest,
                baseline=baseline,
                report=types.Channel(type=DataQualityReport),
                settings=json.dumps(dict(settings or {}), sort_keys=True),
                code=code,
            )
        )


class DataGateSpec(component_spec.ComponentSpec):
    """Inputs, outputs and settings of `DataGate`."""

    INPUTS = {
        executor.REPORT: component_spec.ChannelParameter(type=DataQualityReport),
        executor.STATISTICS: component_spec.ChannelParameter(
            type=standard_artifacts.ExampleStatistics
        ),
    }
    OUTPUTS = {executor.BASELINE: component_spec.ChannelParameter(type=StatisticsBaseline)}
    PARAMETERS = {
        executor.ON_FAILURE: component_spec.ExecutionParameter(type=str),
        executor.CODE: component_spec.ExecutionParameter(type=str),
    }


class DataGate(base_component.BaseComponent):
    """Fails the run on data with problems; what comes after it need not know.

    It is a node apart from `DataReport`, because TFX removes what a failed node wrote.

    ```python
    data_gate = DataGate(
        report=data_report.outputs["report"],
        statistics=statistics_gen.outputs["statistics"],
        on_failure="fail",
        code=source_digest("data_gate"),
    )
    trainer.add_upstream_node(data_gate)
    ```

    Component `outputs` contains:

    - `baseline`: a `StatisticsBaseline` of the accepted data.
    """

    SPEC_CLASS = DataGateSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.DataGateExecutor)

    def __init__(
        self,
        report: types.BaseChannel,
        statistics: types.BaseChannel,
        *,
        on_failure: str = "fail",
        code: str = "",
    ) -> None:
        """Construct the node.

        Args:
          report: a `DataQualityReport` channel.
          statistics: the `ExampleStatistics` channel that the report is about.
          on_failure: `fail` or `warn`.
          code: a digest of the source, see `source_digest`.

        Raises:
          ValueError: if `on_failure` is neither.
        """
        if on_failure not in ("fail", "warn"):
            raise ValueError(f"on_failure must be fail or warn, not {on_failure}")
        super().__init__(
            spec=DataGateSpec(
                report=report,
                statistics=statistics,
                baseline=types.Channel(type=StatisticsBaseline),
                on_failure=on_failure,
                code=code,
            )
        )
