"""The search over heads, on made-up embeddings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tfx.components.tuner import executor
from tfx.types import standard_artifacts

from components.errors import InputError
from components.trainer.batches import Split, in_memory
from components.trainer.hyperparameters import with_hyperparameters
from components.trainer.index import Index
from components.trainer.preparation import Prepared
from components.trainer.settings import Head, TrainerSettings
from components.tuner.settings import TunerSettings
from components.tuner.tuner_fn import HeadTuner
from pipeline.config import load_config

FEATURES = 6
SETTINGS = TrainerSettings(weights="none", epochs=3, head=Head(units=8))


def prepared(count: int, seed: int) -> Prepared:
    """Two clouds that a little learning tells apart."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, (count, 1)).astype(np.float32)
    rows = (rng.normal(size=(count, FEATURES)) + 2 * labels).astype(np.float32)
    names = [str(number) for number in range(count)]
    index = Index((), names, labels, names, ["nih"] * count)
    return Prepared(index, Split(in_memory([rows]), labels), None)


def search(folder: Path, **how: Any) -> HeadTuner:
    return HeadTuner(
        SETTINGS,
        ("pneumonia",),
        train=prepared(200, 1),
        validation=prepared(80, 2),
        how=TunerSettings(**how),
        directory=str(folder),
    )


def test_the_best_trial_is_what_the_trainer_takes(tmp_path: Path) -> None:
    # Next to nothing is learnt in three epochs at the lowest rate.
    tuner = search(tmp_path / "search", trials=4, learning_rate=(1e-6, 0.1), units=(4, 32))
    tuner.search()
    outputs = {
        "best_hyperparameters": [standard_artifacts.HyperParameters()],
        "tuner_results": [standard_artifacts.TunerResults()],
    }
    for name, (artifact,) in outputs.items():
        artifact.uri = str(tmp_path / name)
    executor.write_best_hyperparameters(tuner, outputs)

    (best_file,) = (tmp_path / "best_hyperparameters").iterdir()
    (trials_file,) = (tmp_path / "tuner_results").iterdir()
    trials = json.loads(trials_file.read_text())
    best = max(trials, key=lambda trial: trial["score"])
    settings = with_hyperparameters(SETTINGS, json.loads(best_file.read_text()))
    assert len(trials) == 4
    assert best["score"] > min(trial["score"] for trial in trials)
    assert settings.learning_rate == best["learning_rate"]
    assert settings.head == Head(
        units=best["head.units"], dropout=best["head.dropout"], l2=best["head.l2"]
    )
    unsearched = {"head", "learning_rate"}
    assert settings.model_dump(exclude=unsearched) == SETTINGS.model_dump(exclude=unsearched)


def test_a_search_is_repeatable(tmp_path: Path) -> None:
    found = []
    for name in ("one", "two"):
        tuner = search(tmp_path / name, trials=2, seed=5)
        tuner.search()
        found.append(tuner.get_best_hyperparameters()[0].values)

    assert found[0] == found[1]


def test_values_stay_within_what_was_asked_for(tmp_path: Path) -> None:
    tuner = search(
        tmp_path,
        trials=3,
        units=(7,),
        dropout=(0.1, 0.2),
        l2=(1e-5, 1e-4),
        learning_rate=(1e-3, 2e-3),
    )

    for number in range(3):
        values = tuner.oracle.create_trial(str(number)).hyperparameters.values
        assert values["head.units"] == 7
        assert 0.1 <= values["head.dropout"] <= 0.2
        assert 1e-5 <= values["head.l2"] <= 1e-4
        assert 1e-3 <= values["learning_rate"] <= 2e-3


def test_limits_the_wrong_way_round_are_named() -> None:
    with pytest.raises(InputError, match=r"tuner\.dropout: the smallest, 0\.5, is above"):
        load_config("demo", ["tuner.dropout=[0.5, 0.1]"])
