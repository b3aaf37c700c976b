"""The TFX node that decides whether a model may be pushed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from components.baseline_probe.artifacts import ProbeReport
from components.evaluator import executor
from components.evaluator.artifacts import Judgement
from components.explanation_probe.artifacts import ExplanationMeasures


class ModelGateSpec(component_spec.ComponentSpec):
    """Inputs, outputs and settings of `ModelGate`."""

    INPUTS = {
        executor.MODEL: component_spec.ChannelParameter(type=standard_artifacts.Model),
        executor.SCORES: component_spec.ChannelParameter(type=standard_artifacts.Examples),
        executor.EVALUATION: component_spec.ChannelParameter(
            type=standard_artifacts.ModelEvaluation
        ),
        executor.PROBE: component_spec.ChannelParameter(type=ProbeReport, optional=True),
        executor.EXPLANATIONS: component_spec.ChannelParameter(
            type=ExplanationMeasures, optional=True
        ),
    }
    OUTPUTS = {
        executor.JUDGEMENT: component_spec.ChannelParameter(type=Judgement),
        executor.BLESSING: component_spec.ChannelParameter(type=standard_artifacts.ModelBlessing),
    }
    PARAMETERS = {
        executor.DATASETS: component_spec.ExecutionParameter(type=str),
        executor.SETTINGS: component_spec.ExecutionParameter(type=str),
        executor.CODE: component_spec.ExecutionParameter(type=str),
    }


class ModelGate(base_component.BaseComponent):
    """Holds a model's figures against what is asked of it, and blesses it or refuses it.

    It asks more than TFMA's thresholds can: intervals, trivial models on the same images, the
    last blessed model on the same images. A refused model is not pushed; nothing fails.

    ```python
    model_gate = ModelGate(
        model=trainer.outputs["model"],
        scores=scorer.outputs["scores"],
        evaluation=evaluator.outputs["evaluation"],
        probe=baseline_probe.outputs["report"],
        explanations=explanation_probe.outputs["measures"],
        datasets=["pediatric"],
        settings={"min_auc": {"pediatric": 0.95}},
        code=source_digest("evaluator", "statistics"),
    )
    pusher = tfx.components.Pusher(model_blessing=model_gate.outputs["blessing"], ...)
    ```

    Component `outputs` contains:

    - `judgement`: a `Judgement`.
    - `blessing`: a `ModelBlessing`.
    """

    SPEC_CLASS = ModelGateSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(
        self,
        model: types.BaseChannel,
        scores: types.BaseChannel,
        evaluation: types.BaseChannel,
        probe: types.BaseChannel | None = None,
        explanations: types.BaseChannel | None = None,
        *,
        datasets: Sequence[str],
        settings: Mapping[str, Any] | None = None,
        code: str = "",
    ) -> None:
        """Construct the node.

        Args:
          model: a `Model` channel, the one that is judged.
          scores: an `Examples` channel of `Scorer`.
          evaluation: the `ModelEvaluation` channel of TFX's Evaluator on the test split.
          probe: a `ProbeReport` channel; without it no shortcut is looked for.
          explanations: an `ExplanationMeasures` channel; without it heat maps are not judged.
          datasets: whose test images are judged; one without any is refused.
          settings: as in `EvaluatorSettings`.
          code: a digest of the source, see `source_digest`.
        """
        super().__init__(
            spec=ModelGateSpec(
                model=model,
                scores=scores,
                evaluation=evaluation,
                probe=probe,
                explanations=explanations,
                judgement=types.Channel(type=Judgement),
                blessing=types.Channel(type=standard_artifacts.ModelBlessing),
                datasets=json.dumps(list(datasets)),
                settings=json.dumps(dict(settings or {}), sort_keys=True),
                code=code,
            )
        )
