"""An experiment as text, and changed after it was read."""

from __future__ import annotations

import pytest

from pipeline.config import ConfigError, experiment_names, load_config, override_config
from pipeline.pipeline import lineage
from pipeline.runners.kubeflow.experiment import experiment_text, read_experiment
from tests.pipeline.runners.kubeflow.compiled import experiment


@pytest.mark.parametrize("name", experiment_names())
def test_an_experiment_is_the_same_after_its_journey(name: str) -> None:
    config, places = experiment(name, "trainer.epochs=2", "kubeflow.defaults.cpu=2")
    read, read_places = read_experiment(experiment_text(config, places))
    assert read_places == places
    assert read.model_dump(exclude={"kubeflow"}) == config.model_dump(exclude={"kubeflow"})
    assert lineage(read) == lineage(config)


def test_what_runs_where_is_no_part_of_what_a_model_came_from() -> None:
    there = ["beam.runner=flink", "beam.flink.master=jobs:8081", "kubeflow.defaults.cpu=2"]
    assert lineage(load_config("both", there)) == lineage(load_config("both"))
    assert lineage(load_config("both", ["trainer.epochs=2"])) != lineage(load_config("both"))


@pytest.mark.parametrize("name", experiment_names())
def test_a_change_after_reading_is_a_change_when_reading(name: str) -> None:
    overrides = ["trainer.epochs=2", "transform.image_size=96", "trainer.head.dropout=0.1"]
    assert override_config(load_config(name), overrides) == load_config(name, overrides)


def test_a_wrong_change_names_what_was_wrong() -> None:
    with pytest.raises(ConfigError, match=r"--set trainer\.epoch=2.*did you mean trainer\.epochs"):
        override_config(load_config("pediatric"), ["trainer.epoch=2"])
