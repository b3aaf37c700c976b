"""A training that is interrupted after any epoch ends as one that is not, bit for bit."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.trainer import fitting
from components.trainer.batches import Split, in_memory
from components.trainer.fitting import History
from components.trainer.imbalance import balance
from components.trainer.settings import TrainerSettings
from components.trainer.training import Workplace, train_head
from tests.components.trainer.networks import make_settings, same, train_in, weights_of

EPOCHS = 8
MOMENTS = ["before the state is written", "after the state is written"]


class Interruption(KeyboardInterrupt):
    pass


@contextlib.contextmanager
def interrupted(after: int, moment: str) -> Iterator[None]:
    """Stop at the end of so many epochs' time, before or after the state was kept."""
    done = 0
    keep = fitting._Memory.on_epoch_end

    def on_epoch_end(self: Any, epoch: int, logs: dict | None = None) -> None:
        nonlocal done
        done += 1
        if moment == MOMENTS[0] and done == after:
            raise Interruption
        keep(self, epoch, logs)
        if done == after:
            raise Interruption

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fitting._Memory, "on_epoch_end", on_epoch_end)
        yield


# --- The head --------------------------------------------------------------------------------


def noise(count: int, seed: int, views: int = 0) -> Split:
    """Nothing to learn: the validation loss soon rises."""
    rng = np.random.default_rng(seed)
    rows = list(rng.normal(size=(views + 1, count, 6)).astype(np.float32))
    return Split(in_memory(rows), rng.integers(0, 2, (count, 1)).astype(np.float32), views)


HEAD = TrainerSettings.model_validate(
    {
        "epochs": EPOCHS,
        # It halves the learning rate after two, and stops after four epochs without progress.
        "patience": 4,
        "reduce_lr_on_plateau": True,
        "learning_rate": 0.03,
        "head": {"units": 8, "dropout": 0.3},
        "imbalance": "oversample",
        "batch_size": 8,
    }
)


def head_in(folder: Path, settings: TrainerSettings = HEAD) -> tuple[list[np.ndarray], History]:
    (folder / "unfinished").mkdir(parents=True, exist_ok=True)
    train = noise(40, 1, views=1)
    head, history = train_head(
        train,
        noise(60, 2),
        balance(train.labels, ("a",), settings),
        settings,
        Workplace(folder / "unfinished", folder / "logs"),
    )
    return head.get_weights(), history


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[np.ndarray], History]:
    weights, history = head_in(tmp_path_factory.mktemp("undisturbed"))
    losses, rates = history["val_loss"], history["learning_rate"]
    assert len(losses) < EPOCHS, "it stops by itself"
    assert len(losses) == int(np.argmin(losses)) + 1 + 4
    assert len(set(rates)) > 1, "and lowers the learning rate before"
    return weights, history


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("when", ["first", "rate lowered", "about to stop", "stopped"])
def test_after_whatever_epoch_the_head_ends_as_undisturbed(
    tmp_path: Path, undisturbed: tuple[list[np.ndarray], History], when: str, moment: str
) -> None:
    weights, history = undisturbed
    rates, last = history["learning_rate"], len(history["loss"])
    lowered = next(epoch for epoch, rate in enumerate(rates, start=1) if rate < rates[0])
    after = {"first": 1, "rate lowered": lowered, "about to stop": last - 1, "stopped": last}[when]
    with interrupted(after, moment), pytest.raises(Interruption):
        head_in(tmp_path)

    found, found_history = head_in(tmp_path)

    assert same(found, weights)
    assert found_history == history


def test_a_training_that_ran_out_of_epochs_ends_as_undisturbed(tmp_path: Path) -> None:
    settings = HEAD.model_copy(update={"epochs": 3})
    weights, history = head_in(tmp_path / "undisturbed", settings)
    with interrupted(3, MOMENTS[1]), pytest.raises(Interruption):
        head_in(tmp_path / "killed", settings)

    found, found_history = head_in(tmp_path / "killed", settings)

    assert len(history["loss"]) == 3
    assert same(found, weights)
    assert found_history == history


def test_what_was_done_is_not_done_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with interrupted(3, MOMENTS[1]), pytest.raises(Interruption):
        head_in(tmp_path)
    caplog.clear()
    head_in(tmp_path)

    assert caplog.messages[0].startswith(f"4 of {EPOCHS} epochs")
    caplog.clear()
    head_in(tmp_path)
    assert not caplog.messages


def test_a_state_that_is_half_written_is_not_seen(
    tmp_path: Path, undisturbed: tuple[list[np.ndarray], History], monkeypatch: pytest.MonkeyPatch
) -> None:
    with interrupted(2, MOMENTS[1]), pytest.raises(Interruption):
        head_in(tmp_path)

    def half(state: Any, file: Any) -> None:
        file.write(b"\x80\x04half")
        raise Interruption

    with monkeypatch.context() as patch:
        patch.setattr(fitting.pickle, "dump", half)
        with pytest.raises(Interruption):
            head_in(tmp_path)

    assert same(head_in(tmp_path)[0], undisturbed[0])


# --- Both phases -----------------------------------------------------------------------------

Outcome = tuple[list[np.ndarray], dict[str, History], np.ndarray]


def both_in(folder: Path, **changes: Any) -> Outcome:
    settings = make_settings(
        **{
            "epochs": 2,
            "patience": 2,
            "reduce_lr_on_plateau": True,
            "fine_tuning": {"epochs": 3, "patience": 2, "learning_rate": 0.02},
        }
        | changes
    )
    network, trained = train_in(folder, settings, views=1)
    return weights_of(network, trained), trained.phases, trained.validation_logits


def again_and_again(run: Callable[[], Outcome], moment: str) -> tuple[Outcome, int]:
    """Interruption after every single epoch until it comes through; and how often it was."""
    for times in range(30):
        with (
            interrupted(1 if moment == MOMENTS[1] else 2, moment),
            contextlib.suppress(Interruption),
        ):
            return run(), times
    raise AssertionError("it comes no further")


@pytest.mark.usefixtures("small_registry")
@pytest.mark.parametrize("moment", MOMENTS)
def test_interrupted_again_and_again_both_phases_end_as_undisturbed(
    tmp_path: Path, moment: str
) -> None:
    weights, phases, logits = both_in(tmp_path / "undisturbed")

    found, times = again_and_again(lambda: both_in(tmp_path / "killed"), moment)

    assert times >= 3
    assert same(found[0], weights)
    assert found[1] == phases
    np.testing.assert_array_equal(found[2], logits)


@pytest.mark.slow
@pytest.mark.usefixtures("small_registry")
@pytest.mark.parametrize(
    "changes",
    [
        {"trainable": "all"},
        {"devices": {"mixed_precision": True}},
        {"fine_tuning": {"epochs": 4, "patience": 1, "learning_rate": 3.0}},
    ],
    ids=["all of the backbone", "mixed precision", "fine-tuning that is not kept"],
)
def test_whatever_is_fine_tuned_ends_as_undisturbed(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    weights, phases, _ = both_in(tmp_path / "undisturbed", **changes)

    found, _ = again_and_again(lambda: both_in(tmp_path / "killed", **changes), MOMENTS[1])

    assert same(found[0], weights)
    assert found[1] == phases
