"""What a run changes of the experiment that was compiled."""

from __future__ import annotations

import dataclasses
import json

import pytest

from components.errors import InputError
from components.example_gen.component import XrayExampleGen
from pipeline.config import load_config
from pipeline.runners.kubeflow.build import places_on_cluster
from pipeline.runners.kubeflow.experiment import check_root, experiment_text
from pipeline.runners.kubeflow.rebuild import apply, changed_parameters
from pipeline.runners.kubeflow.runtime import RuntimeSettings, take_runtime_settings

CONFIG = load_config("pediatric")
PLACES = places_on_cluster(CONFIG, data_root="/data", pipeline_root="s3://bucket/v2")
EXPERIMENT = experiment_text(CONFIG, PLACES)


def test_parameters_are_taken_out_of_what_tfx_is_told() -> None:
    values = {
        "cxr_overrides": "trainer.epochs=2\n\n  grad_cam.cases=4 ",
        "cxr_train_steps": 50.0,
        "code": "c0ffee",
    }

    settings = take_runtime_settings({"inputs": {"parameterValues": values}})

    assert values == {"code": "c0ffee"}
    assert settings == RuntimeSettings(
        overrides=("trainer.epochs=2", "grad_cam.cases=4"), train_steps=50
    )
    assert settings.all_overrides[-1] == "trainer.max_steps=50"


def test_defaults_change_nothing() -> None:
    values = {
        "cxr_overrides": "",
        "cxr_data_root": "",
        "cxr_data_fingerprint": "",
        "cxr_serving_root": "",
        "cxr_train_steps": 0.0,
    }
    task = {"inputs": {"parameterValues": values}}
    assert take_runtime_settings(task) == RuntimeSettings()
    assert take_runtime_settings({"inputs": {}}) == RuntimeSettings()


def test_an_override_changes_the_parameters_of_the_nodes_that_it_concerns() -> None:
    settings = RuntimeSettings(overrides=("grad_cam.cases=7",))

    changed = changed_parameters(EXPERIMENT, settings, "GradCamReport")

    assert set(changed) == {"settings"}
    assert '"cases":7' in changed["settings"]
    assert changed_parameters(EXPERIMENT, settings, "Scorer") == {}


def test_the_data_may_lie_elsewhere_and_be_known_by_its_fingerprint() -> None:
    settings = RuntimeSettings(data_root="/elsewhere/", data_fingerprint="abc")
    _, places = apply(CONFIG, PLACES, settings)
    assert places.sources == {"pediatric": "/elsewhere"}

    changed = changed_parameters(EXPERIMENT, settings, "XrayExampleGen")

    assert set(changed) == {"sources", "fingerprint"}
    assert changed["fingerprint"] == "abc"
    assert "/elsewhere" in changed["sources"]
    assert set(changed) <= set(XrayExampleGen.SPEC_CLASS.PARAMETERS)


def test_models_may_go_elsewhere() -> None:
    changed = changed_parameters(EXPERIMENT, RuntimeSettings(serving_root="s3://tests"), "Pusher")

    assert set(changed) == {"push_destination"}
    assert json.loads(changed["push_destination"])["filesystem"]["base_directory"] == (
        "s3://tests/cxr"
    )


def test_a_run_with_another_root_pushes_nothing_beside_the_models_of_the_compiled_one() -> None:
    check_root(EXPERIMENT, "s3://bucket/v2")
    # Below it is another one, too.
    for root in ("s3://bucket/v2/test", "s3://bucket/v22", "s3://tests"):
        refused = rf"{root}, .*/v2/cxr-pediatric/serving/cxr: .* serving_root"
        with pytest.raises(InputError, match=refused):
            check_root(EXPERIMENT, root)
    with pytest.raises(InputError, match="second document"):
        check_root("", "s3://bucket/v2")


def test_steps_of_training_are_told_to_tfx_and_to_the_trainer() -> None:
    changed = changed_parameters(EXPERIMENT, RuntimeSettings(train_steps=5), "Trainer")

    assert set(changed) == {"train_args", "custom_config"}
    assert json.loads(changed["train_args"])["num_steps"] == 5
    assert json.loads(changed["custom_config"])["settings"]["max_steps"] == 5


def test_other_data_is_not_known_by_the_fingerprint_of_what_was_compiled() -> None:
    compiled = dataclasses.replace(PLACES, fingerprint="of-the-data-here")
    with pytest.raises(InputError, match=r"data_root /elsewhere: .* give data_fingerprint as well"):
        apply(CONFIG, compiled, RuntimeSettings(data_root="/elsewhere"))
    told = RuntimeSettings(data_root="/elsewhere", data_fingerprint="of-the-data-there")
    assert apply(CONFIG, compiled, told)[1].fingerprint == "of-the-data-there"
    # The same folder as compiled.
    assert apply(CONFIG, compiled, RuntimeSettings(data_root="/data"))[1] == compiled


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("robustness.enabled=true", r"which nodes run.*EvaluationReport.*Robustness"),
        ("tuner.enabled=true", r"which nodes run.*cxr submit EXPERIMENT --set tuner.enabled=true"),
        ("beam.workers=2", "a run cannot change beam"),
        ("kubeflow.defaults.cpu=2", "a run cannot change kubeflow"),
        ("name=other", "a run cannot change name"),
        ("data.datasets.nih={}", "data_root|min_auc"),
        ("trainer.weights=/data/w.h5", r"not notice .* replaced: .*--set trainer.weights="),
        ("trainer.epoch=5", "did you mean trainer.epochs"),
    ],
)
def test_what_compiling_settled_is_refused(override: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        changed_parameters(EXPERIMENT, RuntimeSettings(overrides=(override,)), "Trainer")


def test_a_pod_without_the_experiment_says_so() -> None:
    with pytest.raises(InputError, match="second document"):
        changed_parameters("", RuntimeSettings(train_steps=5), "Trainer")
