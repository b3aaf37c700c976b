"""Which model a new one goes on from, and which it is compared with."""

from __future__ import annotations

from collections.abc import Mapping

import ml_metadata as mlmd
from tfx import types
from tfx import v1 as tfx
from tfx.types import standard_artifacts

# The node whose blessing counts. Every Evaluator with thresholds blesses, too.
BLESSING_NODE = "ModelGate"

_CANDIDATE, _MODEL, _BLESSING = "candidate", "model", "model_blessing"


class LastOtherBlessedModel(tfx.dsl.experimental.LatestBlessedModelStrategy):
    """The model that was blessed last, other than the candidate.

    A run with nothing new has the model of the run before as its candidate. Compared with itself,
    it would be evaluated and pushed again.
    """

    def resolve_artifacts(
        self, store: mlmd.MetadataStore, input_dict: Mapping[str, list[types.Artifact]]
    ) -> dict[str, list[types.Artifact]]:
        """Resolve `model` and `model_blessing` among what there is but `candidate`."""
        candidates = input_dict[_CANDIDATE]
        others = [
            model
            for model in input_dict[_MODEL]
            if model.id not in {candidate.id for candidate in candidates}
        ]
        found = super().resolve_artifacts(store, {_MODEL: others, _BLESSING: input_dict[_BLESSING]})
        return {**found, _CANDIDATE: candidates}


def last_blessed_model() -> tfx.dsl.Resolver:
    """The model that was blessed last: none in the first run, and until one was."""
    return tfx.dsl.Resolver(
        strategy_class=tfx.dsl.experimental.LatestBlessedModelStrategy,
        model=_models(),
        model_blessing=_blessings(),
    ).with_id("LastBlessedModel")


def last_other_blessed_model(candidate: types.BaseChannel) -> tfx.dsl.Resolver:
    """The model to compare a candidate with: that which was blessed last, but for itself.

    Args:
      candidate: a `Model` channel of this run's.
    """
    return tfx.dsl.Resolver(
        strategy_class=LastOtherBlessedModel,
        candidate=candidate,
        model=_models(),
        model_blessing=_blessings(),
    ).with_id("LastOtherBlessedModel")


def _models() -> types.BaseChannel:
    return tfx.dsl.Channel(type=standard_artifacts.Model)


def _blessings() -> types.BaseChannel:
    return tfx.dsl.Channel(
        type=standard_artifacts.ModelBlessing, producer_component_id=BLESSING_NODE
    )
