"""What the Tuner node runs: KerasTuner over the head, on embeddings that are computed once."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import keras_tuner
from tfx import v1 as tfx

from components import progress
from components.trainer.hyperparameters import with_hyperparameters
from components.trainer.imbalance import balance
from components.trainer.network import build_network
from components.trainer.preparation import Prepared, open_preparation
from components.trainer.settings import TrainerSettings
from components.trainer.tasks import TASKS
from components.trainer.training import Workplace, train_head
from components.tuner.settings import TunerSettings

OBJECTIVE = "val_auc"


def tuner_fn(fn_args: tfx.components.FnArgs) -> tfx.components.TunerFnResult:
    """A search over heads, for TFX to run.

    Raises:
      WeightsError: if the backbone's weights cannot be had.
      TrainingError: if a split is empty.
    """
    config = dict(fn_args.custom_config)
    settings = TrainerSettings(**config["settings"])
    network = build_network(settings, config["image_size"])
    preparation = open_preparation(
        network, settings, config, fn_args.transform_graph_path, Path(fn_args.working_dir)
    )
    search = HeadTuner(
        settings,
        TASKS[config["labels"]].outputs,
        train=preparation.split("train", fn_args.train_files, views=True),
        validation=preparation.split("val", fn_args.eval_files),
        how=TunerSettings(**config["tuner"]),
        directory=fn_args.working_dir,
    )
    return tfx.components.TunerFnResult(tuner=search, fit_kwargs={})


class HeadTuner(keras_tuner.BayesianOptimization):
    """Trains a head in each trial, as the Trainer would, and asks for the highest AUC."""

    def __init__(
        self,
        settings: TrainerSettings,
        outputs: tuple[str, ...],
        *,
        train: Prepared,
        validation: Prepared,
        how: TunerSettings,
        directory: str,
    ):
        """Lay out the search.

        Args:
          settings: of the Trainer; the search changes a few of them.
          outputs: the names of what is learnt.
          train: the training split.
          validation: the split that judges a trial.
          how: what is searched, and how long.
          directory: for KerasTuner's own records.
        """
        super().__init__(
            hypermodel=None,
            objective=keras_tuner.Objective(OBJECTIVE, "max"),
            max_trials=how.trials,
            seed=how.seed,
            hyperparameters=search_space(how),
            tune_new_entries=False,
            directory=directory,
            project_name="head",
        )
        self._settings = settings
        self._train = train
        self._validation = validation
        self._imbalance = balance(train.index.labels, outputs, settings)
        self._trials = how.trials

    def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> dict[str, float]:
        """The validation AUC of a head with the trial's hyperparameters."""
        settings = with_hyperparameters(self._settings, {"values": trial.hyperparameters.values})
        with tempfile.TemporaryDirectory() as scratch:
            _, history = train_head(
                self._train.embeddings,
                self._validation.embeddings,
                self._imbalance,
                settings,
                Workplace(Path(scratch), Path(scratch)),
            )
        kept = min(range(len(history["val_loss"])), key=history["val_loss"].__getitem__)
        auc = history["val_auc"][kept]
        done = len(self.oracle.end_order) + 1
        progress.report(done, self._trials, f"trials, the last one with AUC {auc:.3f}")
        return {OBJECTIVE: auc}


def search_space(how: TunerSettings) -> keras_tuner.HyperParameters:
    """What is searched, by the names of the Trainer's settings."""
    space = keras_tuner.HyperParameters()
    space.Choice("head.units", list(how.units))
    space.Float("head.dropout", *how.dropout)
    space.Float("head.l2", *how.l2, sampling="log")
    space.Float("learning_rate", *how.learning_rate, sampling="log")
    return space
