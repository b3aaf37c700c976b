"""The Trainer's run_fn, on real TFRecords and a real Transform graph."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import expit, logit

from components.trainer.frozen_part import FrozenPart
from components.trainer.imbalance import TrainingError
from components.transform.preprocessing import preprocess
from tests.components.trainer.conftest import Trained, read_contract
from tests.components.trainer.networks import same
from tests.components.trainer.samples import SIDE, image_of


def weights_in(model_dir: Path) -> list[np.ndarray]:
    return keras.models.load_model(
        model_dir.parent / "saved_models" / "densenet121.keras"
    ).get_weights()


@pytest.fixture(scope="module")
def fine_tuned(trained: Trained) -> Path:
    return trained.run(
        "fine-tuned",
        weights="none",
        trainable="last_block",
        fine_tuning={"epochs": 2, "learning_rate": 1e-3},
    )


@pytest.fixture
def unsaved(monkeypatch: pytest.MonkeyPatch) -> None:
    """For what is in the contract or in the Keras file: to write the SavedModel takes seconds."""
    monkeypatch.setattr(tf.saved_model, "save", lambda *args, **kwargs: None)


# --- What it writes --------------------------------------------------------------------------


def test_it_writes_what_later_nodes_read(trained: Trained) -> None:
    assert (trained.model_dir / "saved_model.pb").is_file()
    assert trained.keras_file.is_file()
    logs = trained.model_dir.parent / "logs"
    assert {path.parent.name for path in logs.rglob("events.out.tfevents.*")} == {
        "train",
        "validation",
    }
    assert cv2.imread(str(logs / "curves.png")) is not None


def test_it_learns_what_the_eye_sees(trained: Trained) -> None:
    assert trained.contract["training"]["validation_auc"]["pneumonia"] > 0.9
    assert trained.contract["outputs"][0]["operating_point"]["specificity"] > 0.5


def test_the_contract_accounts_for_the_training(trained: Trained, fine_tuned: Path) -> None:
    training = trained.contract["training"]
    assert trained.contract["task"] == "binary"
    assert trained.contract["class_names"] == ["normal", "pneumonia"]
    assert [output["name"] for output in trained.contract["outputs"]] == ["pneumonia"]
    assert training["images"] == {
        "train": {"normal": 20, "pneumonia": 20},
        "val": {"normal": 12, "pneumonia": 12},
    }
    assert set(training["epochs"]) == {"head"}
    assert 1 <= training["epochs"]["head"] <= 8
    assert training["imbalance"]["method"] == "class_weight"
    assert training["imbalance"]["positives"] == {"pneumonia": 0.5}
    assert training["warm_start"] is False

    account = read_contract(fine_tuned)["training"]
    assert account["trainable"] == "last_block"
    assert account["epochs"]["fine-tuning"] == 2
    assert read_contract(fine_tuned)["weights_sha256"] != trained.contract["weights_sha256"]


@pytest.mark.usefixtures("unsaved")
def test_the_contract_tells_which_images_it_learnt_from(trained: Trained) -> None:
    digests = trained.contract["training"]["images_sha256"]
    assert len(set(digests.values())) == 2

    swapped = read_contract(trained.run("swapped", train="val", val="train", weights="none"))

    assert swapped["training"]["images_sha256"] == {
        "train": digests["val"],
        "val": digests["train"],
    }


def test_plain_keras_loads_the_model_as_it_stands(fine_tuned: Path) -> None:
    file = fine_tuned.parent / "saved_models" / "densenet121.keras"

    model = keras.saving.load_model(file, safe_mode=True)

    assert model.input_shape == (None, SIDE, SIDE, 3)
    assert not model.compiled


@pytest.mark.parametrize("kind", ["head", "last_block"])
def test_the_exported_model_answers_as_the_keras_model_calibrated(
    trained: Trained, fine_tuned: Path, kind: str
) -> None:
    model_dir = fine_tuned if kind == "last_block" else trained.model_dir
    images = tf.constant([image_of(film) for film in trained.films[40:]])
    (output,) = read_contract(model_dir)["outputs"]
    calibration = output["calibration"]
    assert calibration["method"] == "platt"

    served = tf.saved_model.load(str(model_dir)).signatures["serving_default"]
    answer = served(image_bytes=images)
    classifier = keras.models.load_model(model_dir.parent / "saved_models" / "densenet121.keras")
    scores = classifier.predict(preprocess(images, SIDE), verbose=0)[:, 0].astype(np.float64)

    line = calibration["slope"] * (logit(scores) - calibration["prior_shift"])
    expected = expit(line + calibration["intercept"] + calibration["prevalence_shift"])
    np.testing.assert_allclose(answer["probability"], expected, atol=1e-5)
    decisions = expected >= output["operating_point"]["threshold"]
    np.testing.assert_array_equal(answer["decision"], decisions.astype(int))


# --- Again -----------------------------------------------------------------------------------


@pytest.mark.usefixtures("unsaved")
def test_a_second_run_finds_the_activations_and_makes_the_same_model(
    trained: Trained, fine_tuned: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*args: object) -> None:
        raise AssertionError("an image went through the frozen part again")

    monkeypatch.setattr(FrozenPart, "__call__", never)

    model_dir = trained.run(
        "second",
        weights="none",
        trainable="last_block",
        fine_tuning={"epochs": 2, "learning_rate": 1e-3},
    )

    assert read_contract(model_dir) == read_contract(fine_tuned)
    assert same(weights_in(model_dir), weights_in(fine_tuned))


@pytest.mark.usefixtures("unsaved")
def test_what_a_tuner_found_takes_the_place_of_the_settings(trained: Trained) -> None:
    model_dir = trained.run(
        "tuned",
        weights="none",
        epochs=1,
        hyperparameters={"values": {"head.units": 5, "epochs": 2}},
    )

    model = keras.models.load_model(model_dir.parent / "saved_models" / "densenet121.keras")
    assert model.get_layer("head").get_layer("hidden").units == 5
    assert read_contract(model_dir)["training"]["epochs"]["head"] == 2


@pytest.mark.usefixtures("unsaved")
def test_a_warm_start_begins_with_the_weights_of_the_last_model(
    trained: Trained, fine_tuned: Path
) -> None:
    changes: dict[str, Any] = {
        "weights": "none",
        "seed": 7,
        "epochs": 1,
        "learning_rate": 1e-9,
        "trainable": "last_block",
        "fine_tuning": {"epochs": 1, "learning_rate": 1e-9},
    }

    warm = trained.run("warm", base_model=fine_tuned, **changes)
    cold = trained.run("cold", **changes)

    former = read_contract(fine_tuned)["training"]["validation_auc"]["pneumonia"]
    account = read_contract(warm)["training"]
    assert account["validation_auc"]["pneumonia"] == pytest.approx(former, abs=0.02)
    assert account["warm_start"] is True
    for left, right in zip(weights_in(warm), weights_in(fine_tuned), strict=True):
        np.testing.assert_allclose(left, right, atol=1e-6)
    assert not same(weights_in(cold), weights_in(fine_tuned))


@pytest.mark.usefixtures("unsaved")
def test_a_last_model_that_is_built_otherwise_is_a_cold_start(
    trained: Trained, caplog: pytest.LogCaptureFixture
) -> None:
    changes: dict[str, Any] = {"weights": "none", "epochs": 1, "head": {"units": 4}}

    model_dir = trained.run("mismatch", base_model=trained.model_dir, **changes)

    assert "a cold start" in caplog.text
    assert "(64, 16, 1), and this one (64, 4, 1)" in caplog.text
    assert read_contract(model_dir)["training"]["warm_start"] is False
    assert same(weights_in(model_dir), weights_in(trained.run("unstarted", **changes)))


@pytest.mark.usefixtures("unsaved")
def test_a_last_model_of_another_backbone_is_a_cold_start(
    trained: Trained, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "Format-Serving").mkdir()

    model_dir = trained.run(
        "other", weights="none", epochs=1, base_model=tmp_path / "Format-Serving"
    )

    assert "a cold start: the last blessed model has no densenet121.keras" in caplog.text
    assert read_contract(model_dir)["training"]["warm_start"] is False


# --- What it stops at, and where it keeps things ----------------------------------------------


@pytest.mark.parametrize("split", ["train", "val"])
@pytest.mark.parametrize("empty", ["none", "nowhere"])
def test_an_empty_split_is_named(trained: Trained, split: str, empty: str) -> None:
    with pytest.raises(TrainingError, match=f"the {split} split is empty"):
        trained.run("empty", weights="none", **{split: empty})


def test_a_user_without_a_cache_folder_trains_all_the_same(
    trained: Trained,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))

    model_dir = trained.run("homeless", weights="none", epochs=1, cache={"folder": None})

    assert (model_dir / "saved_model.pb").is_file()
    assert "no cache folder" in caplog.text


@pytest.mark.usefixtures("unsaved")
def test_a_cache_that_is_too_small_loses_nothing_that_is_in_use(
    trained: Trained, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    old = tmp_path / "activations" / "old"
    old.mkdir(parents=True)
    (old / "rows.npy").write_bytes(b"0" * 1000)

    trained.run(
        "small cache",
        weights="none",
        epochs=1,
        augmentation={"views": 1},
        cache={"folder": str(tmp_path), "max_gib": 1e-9},
    )

    assert not (old / "rows.npy").exists()
    assert len(list(tmp_path.rglob("*.npy"))) == 3, "train, its views, and val"
    assert "all of it in use" in caplog.text
    shutil.rmtree(tmp_path)
