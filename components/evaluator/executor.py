"""Artifacts in, artifacts out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tfx import types
from tfx.components.evaluator import constants
from tfx.dsl.components.base import base_executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils

from components import progress
from components.baseline_probe.probe import IDENTITY
from components.baseline_probe.report import ProbeScores, read_probe
from components.evaluator import gates, results
from components.evaluator.judgement import FILE_NAME, LAST_BLESSED, Baseline, Gate, Judgement
from components.evaluator.performance import measure_slices
from components.evaluator.settings import EvaluatorSettings
from components.example_gen.split import TEST
from components.explanation_probe.measures import Measures
from components.explanation_probe.report import read_measures
from components.scorer.scores import Scores, read_scores

MODEL = "model"
SCORES = "scores"
EVALUATION = "evaluation"
PROBE = "probe"
EXPLANATIONS = "explanations"
JUDGEMENT = "judgement"
BLESSING = "blessing"
SETTINGS = "settings"
DATASETS = "datasets"
CODE = "code"


class Executor(base_executor.BaseExecutor):
    """Measures, compares, and judges."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Run the node, see `ModelGate`."""
        settings = EvaluatorSettings.model_validate_json(exec_properties[SETTINGS])
        artifact = artifact_utils.get_single_instance(input_dict[SCORES])
        scores = {
            split: read_scores(artifact.uri, split)
            for split in artifact_utils.decode_split_names(artifact.split_names)
        }
        probe = input_dict.get(PROBE)
        explained = input_dict.get(EXPLANATIONS)
        evaluation = artifact_utils.get_single_uri(input_dict[EVALUATION])
        judged = judge(
            scores,
            read_probe(artifact_utils.get_single_uri(probe)) if probe else None,
            results.load_gaps(evaluation),
            settings,
            json.loads(exec_properties[DATASETS]),
            read_measures(artifact_utils.get_single_uri(explained)) if explained else None,
        )
        folder = artifact_utils.get_single_uri(output_dict[JUDGEMENT])
        with fileio.open(f"{folder}/{FILE_NAME}", "wb") as file:
            file.write(f"{judged.model_dump_json(indent=2)}\n".encode())
        for gate in judged.refused_by:
            progress.warn(f"{gate.name}: {gate.sentence}")
        _bless(
            artifact_utils.get_single_instance(output_dict[BLESSING]),
            artifact_utils.get_single_instance(input_dict[MODEL]),
            judged.blessed,
        )


def judge(
    scores: Mapping[str, Scores],
    probe: ProbeScores | None,
    gaps: list[results.Gap],
    settings: EvaluatorSettings,
    datasets: Sequence[str],
    explanations: Measures | None = None,
) -> Judgement:
    """Measure every split, and judge each dataset by its test images.

    Args:
      scores: by split.
      probe: trivial models on the test images.
      gaps: between subgroups of the test images, as TFMA found them.
      settings: what is measured and asked for.
      datasets: that are asked for, whether or not they have test images.
      explanations: how good the model's heat maps are.
    """
    test = scores[TEST]
    found_gates: list[Gate] = []
    baselines: list[Baseline] = []
    for dataset in datasets:
        of_dataset = test.where(test.datasets == dataset)
        evidence = gates.Evidence(
            dataset=dataset,
            scores=of_dataset,
            others=_others(of_dataset, probe),
            gaps=[gap for gap in gaps if gap.dataset == dataset],
            explanations=explanations.of(dataset) if explanations else (),
        )
        of_gates, of_baselines = gates.judge(evidence, settings)
        found_gates += of_gates
        baselines += of_baselines
    refused = any(gate.verdict == "refused" for gate in found_gates)
    splits = {
        split: measure_slices(
            of_split,
            settings.slices,
            min_size=settings.min_slice_size,
            prevalence=settings.prevalence,
        )
        for split, of_split in scores.items()
    }
    return Judgement(
        blessed=settings.report_only or not refused,
        report_only=settings.report_only,
        gates=tuple(found_gates),
        prevalence=settings.prevalence,
        splits={split: slices for split, (slices, _) in splits.items()},
        too_small={split: left_out for split, (_, left_out) in splits.items()},
        baselines=tuple(baselines),
    )


def _others(scores: Scores, probe: ProbeScores | None) -> dict[str, NDArray[np.float64]]:
    """The scores of other models for the same images, in the same order."""
    others = {}
    if probe is not None:
        # A dataset's identity is the same for all of its images; and of a finding that the
        # training images all have, or lack, a probe says nothing.
        others = {
            name: found
            for name, found in probe.of(scores.sha256).scores.items()
            if name != IDENTITY and not np.isnan(found).any()
        }
    if scores.last_probabilities is not None:
        others[LAST_BLESSED] = scores.last_probabilities
    return others


def _bless(blessing: types.Artifact, model: types.Artifact, blessed: bool) -> None:
    """What TFX's Pusher and its resolver of the last blessed model look at."""
    blessing.set_string_custom_property(
        constants.ARTIFACT_PROPERTY_CURRENT_MODEL_URI_KEY, model.uri
    )
    blessing.set_int_custom_property(constants.ARTIFACT_PROPERTY_CURRENT_MODEL_ID_KEY, model.id)
    verdict, name = (
        (constants.BLESSED_VALUE, constants.BLESSED_FILE_NAME)
        if blessed
        else (constants.NOT_BLESSED_VALUE, constants.NOT_BLESSED_FILE_NAME)
    )
    blessing.set_int_custom_property(constants.ARTIFACT_PROPERTY_BLESSED_KEY, verdict)
    with fileio.open(f"{blessing.uri}/{name}", "w") as file:
        file.write("")
