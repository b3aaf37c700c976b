"""The Trainer's run_fn, on real TFRecords and a real Transform graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from components.trainer.embedding import Embedder
from components.trainer.head_training import TrainingError

from components.trainer import run_fn as module
from tests.components.trainer.conftest import Trained, read_contract


def test_it_writes_what_later_nodes_read(trained: Trained) -> None:
    assert (trained.model_dir / "saved_model.pb").is_file()
    assert trained.keras_file.is_file()
    logs = trained.model_dir.parent / "logs"
    assert {path.parent.name for path in logs.rglob("events.out.tfevents.*")} == {
        "train",
        "validation",
    }


def test_it_learns_what_the_eye_sees(trained: Trained) -> None:
    assert trained.contract["training"]["validation_auc"] > 0.9
    assert trained.contract["outputs"][0]["operating_point"]["specificity"] > 0.5


def test_a_second_run_finds_the_embeddings_and_makes_the_same_model(
    trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*args: object) -> None:
        raise AssertionError("an image was embedded again")

    monkeypatch.setattr(Embedder, "__call__", never)
    monkeypatch.setattr(module.export.tf.saved_model, "save", lambda *args, **kwargs: None)

    model_dir = trained.run("second", weights="none")

    assert read_contract(model_dir) == trained.contract
    one, two = (
        keras.models.load_model(folder.parent / "saved_models" / "densenet121.keras")
        for folder in (trained.model_dir, model_dir)
    )
    for left, right in zip(one.get_weights(), two.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("split", ["train", "val"])
@pytest.mark.parametrize("empty", ["none", "nowhere"])
def test_an_empty_split_is_named(trained: Trained, split: str, empty: str) -> None:
    with pytest.raises(TrainingError, match=f"the {split} split is empty"):
        trained.run("empty", weights="none", **{split: empty})


def test_the_validation_figure_is_that_of_the_weights_that_were_kept(
    trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train_head(*args: Any) -> tuple[keras.Model, keras.callbacks.History]:
        head, history = module_train_head(*args)
        history.history |= {"val_loss": [0.5, 0.3, 0.4], "val_auc": [0.7, 0.8, 0.9]}
        return head, history

    module_train_head = module.train_head
    monkeypatch.setattr(module, "train_head", train_head)
    monkeypatch.setattr(module.export.tf.saved_model, "save", lambda *args, **kwargs: None)

    model_dir = trained.run("figures", weights="none", epochs=1)

    assert read_contract(model_dir)["training"]["validation_auc"] == 0.8


@pytest.mark.parametrize(
    ("cache", "xdg", "expected"),
    [("kept", "xdg", "kept"), (None, "xdg", "xdg/cxr"), (None, "", "home/.cache/cxr")],
)
def test_where_embeddings_are_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cache: str | None, xdg: str, expected: str
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / xdg) if xdg else "")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    settings = module.TrainerSettings(cache={"folder": cache and str(tmp_path / cache)})

    assert module._cache_root(settings, tmp_path / "fallback") == tmp_path / expected


def test_the_contract_tells_which_images_it_learnt_from(trained: Trained) -> None:
    digests = trained.contract["training"]["images_sha256"]
    assert set(digests) == {"train", "val"}
    assert len(set(digests.values())) == 2
    swapped = read_contract(trained.run("swapped", train="val", val="train", weights="none"))
    assert swapped["training"]["images_sha256"] == {
        "train": digests["val"],
        "val": digests["train"],
    }


def test_a_user_without_a_cache_folder_trains_all_the_same(
    trained: Trained,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    model_dir = trained.run("homeless", weights="none", cache={"folder": None})
    assert (model_dir / "saved_model.pb").is_file()
    assert "no cache folder" in caplog.text
