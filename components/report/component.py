"""The TFX node that tells people what a model is worth."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from components.baseline_probe.artifacts import ProbeReport
from components.cross_dataset.artifacts import CrossDatasetReport
from components.data_gate.artifacts import DataQualityReport
from components.evaluator.artifacts import Judgement
from components.example_gen.artifacts import IngestReport
from components.explanation_probe.artifacts import ExplanationMeasures
from components.grad_cam.artifacts import ExplanationReport
from components.report import executor
from components.report.artifacts import ModelReport
from components.robustness.artifacts import RobustnessReport


def _optional(artifact: type[types.Artifact]) -> component_spec.ChannelParameter:
    return component_spec.ChannelParameter(type=artifact, optional=True)


class EvaluationReportSpec(component_spec.ComponentSpec):
    """Inputs, outputs and settings of `EvaluationReport`."""

    INPUTS = {
        executor.JUDGEMENT: component_spec.ChannelParameter(type=Judgement),
        executor.SCORES: component_spec.ChannelParameter(type=standard_artifacts.Examples),
        executor.MODEL: component_spec.ChannelParameter(type=standard_artifacts.Model),
        executor.MODEL_RUN: component_spec.ChannelParameter(type=standard_artifacts.ModelRun),
        executor.INGEST: component_spec.ChannelParameter(type=IngestReport),
        executor.DATA_REPORT: component_spec.ChannelParameter(type=DataQualityReport),
        executor.PROBE: _optional(ProbeReport),
        executor.MATRIX: _optional(CrossDatasetReport),
        executor.ROBUSTNESS: _optional(RobustnessReport),
        executor.EXPLANATIONS: _optional(ExplanationReport),
        executor.MEASURES: _optional(ExplanationMeasures),
        executor.EVALUATION: _optional(standard_artifacts.ModelEvaluation),
        executor.VALIDATION_EVALUATION: _optional(standard_artifacts.ModelEvaluation),
        executor.UNSAMPLED_EVALUATION: _optional(standard_artifacts.ModelEvaluation),
    }
    OUTPUTS = {executor.REPORT: component_spec.ChannelParameter(type=ModelReport)}
    PARAMETERS = {
        executor.LINEAGE: component_spec.ExecutionParameter(type=str),
        executor.CODE: component_spec.ExecutionParameter(type=str),
    }


class EvaluationReport(base_component.BaseComponent):
    """Writes down what is known of a model: the report, TFMA's dashboard, and the model card.

    ```python
    report = EvaluationReport(
        judgement=model_gate.outputs["judgement"],
        scores=scorer.outputs["scores"],
        model=trainer.outputs["model"],
        model_run=trainer.outputs["model_run"],
        ingest=example_gen.outputs["report"],
        data_report=data_report.outputs["report"],
        evaluation=evaluator.outputs["evaluation"],
        lineage={"experiment": "pediatric", "config": "c0ffee"},
        code=source_digest("report", "report/plots", "report/tfma"),
    )
    ```

    Component `outputs` contains:

    - `report`: a `ModelReport`.
    """

    SPEC_CLASS = EvaluationReportSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(
        self,
        judgement: types.BaseChannel,
        scores: types.BaseChannel,
        model: types.BaseChannel,
        model_run: types.BaseChannel,
        ingest: types.BaseChannel,
        data_report: types.BaseChannel,
        *,
        probe: types.BaseChannel | None = None,
        matrix: types.BaseChannel | None = None,
        robustness: types.BaseChannel | None = None,
        explanations: types.BaseChannel | None = None,
        measures: types.BaseChannel | None = None,
        evaluation: types.BaseChannel | None = None,
        validation_evaluation: types.BaseChannel | None = None,
        unsampled_evaluation: types.BaseChannel | None = None,
        lineage: Mapping[str, Any],
        code: str = "",
    ) -> None:
        """Construct the node.

        Args:
          judgement: the `Judgement` channel of ModelGate.
          scores: the `Examples` channel of Scorer.
          model: the `Model` channel of Trainer.
          model_run: the `ModelRun` channel of Trainer.
          ingest: the `IngestReport` channel of ExampleGen.
          data_report: the `DataQualityReport` channel of DataReport.
          probe: the `ProbeReport` channel of BaselineProbe.
          matrix: the `CrossDatasetReport` channel of CrossDatasetMatrix.
          robustness: the `RobustnessReport` channel of Robustness.
          explanations: the `ExplanationReport` channel of GradCamReport.
          measures: the `ExplanationMeasures` channel of ExplanationProbe.
          evaluation: the `ModelEvaluation` channel of Evaluator, on test images.
          validation_evaluation: likewise, on validation images.
          unsampled_evaluation: likewise, on test images before they were balanced.
          lineage: as in `figures.Lineage`, without artifacts.
          code: a digest of the source, see `source_digest`.
        """
        super().__init__(
            spec=EvaluationReportSpec(
                judgement=judgement,
                scores=scores,
                model=model,
                model_run=model_run,
                ingest=ingest,
                data_report=data_report,
                probe=probe,
                matrix=matrix,
                robustness=robustness,
                explanations=explanations,
                measures=measures,
                evaluation=evaluation,
                validation_evaluation=validation_evaluation,
                unsampled_evaluation=unsampled_evaluation,
                report=types.Channel(type=ModelReport),
                lineage=json.dumps(dict(lineage), sort_keys=True),
                code=code,
            )
        )
