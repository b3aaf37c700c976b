"""The picture of the training."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest

from components.trainer.curves import draw_curves

HISTORY = {
    "loss": [0.7, 0.5, 0.3],
    "auc": [0.5, 0.8, 0.9],
    "val_loss": [0.7, 0.4, 0.6],
    "val_auc": [0.5, 0.7, 0.6],
}


def size_of(path: Path) -> tuple[int, int]:
    pixels = cv2.imread(str(path))
    assert pixels is not None, "it decodes"
    assert pixels.std() > 5, "something is drawn"
    return pixels.shape[:2]


def test_each_phase_has_a_row(tmp_path: Path) -> None:
    draw_curves({"head": HISTORY}, tmp_path / "new" / "one.png")
    draw_curves({"head": HISTORY, "fine-tuning": HISTORY}, tmp_path / "two.png")

    height, width = size_of(tmp_path / "new" / "one.png")
    assert size_of(tmp_path / "two.png") == (2 * height, width)


@pytest.mark.parametrize("epochs", [1, 200])
def test_any_number_of_epochs_is_drawn(tmp_path: Path, epochs: int) -> None:
    history = {name: [values[0]] * epochs for name, values in HISTORY.items()}

    draw_curves({"head": history}, tmp_path / "curves.png")

    size_of(tmp_path / "curves.png")
