"""What the Evaluator is told to measure, and what to ask."""

from collections.abc import Mapping

import pytest
from tensorflow_model_analysis.proto import config_pb2

from components.evaluator import eval_config
from components.evaluator.eval_config import AUC, build_eval_config
from components.evaluator.settings import EvaluatorSettings
from components.example_gen.record import PATHOLOGIES
from components.scorer.features import DECISION, PROBABILITY

BOTH = ("pediatric", "nih")


def slices(config: config_pb2.EvalConfig) -> list[list[str]]:
    return [list(spec.feature_keys) for spec in config.slicing_specs]


def floors(config: config_pb2.EvalConfig) -> Mapping[tuple[tuple[str, str], ...], float]:
    """Every threshold of the configuration, by the slice that it is tied to."""
    found = {}
    for spec in config.metrics_specs:
        assert not spec.thresholds
        assert not spec.per_slice_thresholds
        for metric in spec.metrics:
            assert not metric.HasField("threshold")
            for tied in metric.per_slice_thresholds:
                (where,) = tied.slicing_specs
                bound = tied.threshold.value_threshold.lower_bound.value
                found[tuple(where.feature_values.items())] = bound
    return found


def gaps(config: config_pb2.EvalConfig) -> Mapping[tuple[str, str], float]:
    """Every limit of a difference between subgroups, by dataset and feature."""
    found = {}
    for metric in (metric for spec in config.metrics_specs for metric in spec.metrics):
        for tied in metric.cross_slice_thresholds:
            (pairs,) = tied.cross_slicing_specs
            assert [pairs.baseline_spec] == list(pairs.slicing_specs)
            (feature,) = pairs.baseline_spec.feature_keys
            dataset = pairs.baseline_spec.feature_values["dataset"]
            found[dataset, feature] = tied.threshold.value_threshold.upper_bound.value
    return found


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ((), [[], ["dataset"]]),
        (("etiology",), [[], ["dataset"], ["etiology"]]),
        (
            ("sex", "sex*view_position"),
            [[], ["dataset"], ["sex"], ["sex", "view_position"]],
        ),
    ],
)
def test_all_images_and_each_dataset_are_always_measured(
    asked: tuple[str, ...], expected: list[list[str]]
) -> None:
    assert slices(build_eval_config(EvaluatorSettings(slices=asked), BOTH)) == expected


def test_thresholds_hold_for_single_datasets_only() -> None:
    settings = EvaluatorSettings(min_auc={"pediatric": 0.95, "nih": 0.7}, slices=("etiology",))
    assert floors(build_eval_config(settings, BOTH)) == {
        (("dataset", "pediatric"),): 0.95,
        (("dataset", "nih"),): 0.7,
    }


def test_nothing_is_asked_of_a_dataset_that_is_not_read() -> None:
    settings = EvaluatorSettings(min_auc={"pediatric": 0.95, "nih": 0.7})
    assert floors(build_eval_config(settings, ["nih"])) == {(("dataset", "nih"),): 0.7}


def test_the_two_outputs_are_measured_apart() -> None:
    config = build_eval_config(EvaluatorSettings(), BOTH)
    probability, decision = config.metrics_specs
    assert list(probability.output_names) == [PROBABILITY]
    assert list(decision.output_names) == [DECISION]
    assert f'"name": "{AUC}"' in probability.metrics[0].config


def test_the_scores_are_read_and_no_model_is_run() -> None:
    (model,) = build_eval_config(EvaluatorSettings(), BOTH).model_specs
    assert model.model_type == "materialized_prediction"
    assert dict(model.prediction_keys) == {PROBABILITY: PROBABILITY, DECISION: DECISION}


def test_subgroups_that_are_compared_are_measured() -> None:
    settings = EvaluatorSettings(
        slices=("sex*dataset",), max_gap={"nih": {"sex": 0.1, "view_position": 0.2}}
    )
    config = build_eval_config(settings, BOTH)
    assert slices(config) == [[], ["dataset"], ["sex", "dataset"], ["dataset", "view_position"]]
    assert gaps(config) == {("nih", "sex"): 0.1, ("nih", "view_position"): 0.2}
    assert len(config.cross_slicing_specs) == 2


def test_no_subgroups_are_compared_of_a_dataset_that_is_not_read() -> None:
    settings = EvaluatorSettings(max_gap={"nih": {"sex": 0.1}})
    config = build_eval_config(settings, ["pediatric"])
    assert gaps(config) == {}
    assert not config.cross_slicing_specs


@pytest.mark.parametrize("feature", ["dataset", "age_years", "sex*view_position"])
def test_only_features_that_divide_a_dataset_can_be_compared(feature: str) -> None:
    with pytest.raises(ValueError, match="is none of source_split, etiology, sex"):
        EvaluatorSettings(max_gap={"nih": {feature: 0.1}})


def test_where_all_findings_are_labels_the_macro_auc_is_what_is_asked_for() -> None:
    settings = EvaluatorSettings(min_auc={"nih": 0.7}, slices=("sex",))
    config = build_eval_config(settings, ["nih"], "findings")
    assert slices(config) == [[], ["dataset"], ["sex"]]
    assert dict(config.model_specs[0].label_keys) == dict.fromkeys(
        (PROBABILITY, DECISION), "finding_labels"
    )
    assert floors(config) == {(("dataset", "nih"),): 0.7}
    each, decisions, macro, _ = config.metrics_specs
    assert macro.metrics[0].per_slice_thresholds
    for spec in (each, decisions):
        assert list(spec.binarize.class_ids.values) == list(range(len(PATHOLOGIES)))


def test_an_edit_of_a_metric_is_no_old_evaluation(monkeypatch: pytest.MonkeyPatch) -> None:
    def config() -> config_pb2.EvalConfig:
        return build_eval_config(EvaluatorSettings(), ["nih"])

    before = config()
    assert config() == before
    monkeypatch.setattr(eval_config, "source_digest", lambda *_: "edited")
    assert config() != before
