"""What records say of films, and which of them are chosen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tensorflow as tf

from components.explanation_probe import films, sampling
from components.explanation_probe.films import Film
from components.explanation_probe.settings import ExplanationProbeSettings
from tests import examples

LEFT, RIGHT = (0.0, 0.25, 0.25, 0.5), (0.5, 0.25, 0.25, 0.5)


def write(path: Path, *records: tf.train.Example) -> list[str]:
    with tf.io.TFRecordWriter(str(path), "GZIP") as writer:
        for one in records:
            writer.write(one.SerializeToString())
    return [str(path)]


def record(number: int, findings: tuple[str, ...], **values: Any) -> tf.train.Example:
    pixels = np.random.default_rng(number).integers(0, 255, (40, 40), np.uint8)
    encoded = cv2.imencode(".png", pixels)[1].tobytes()
    label = int("Pneumonia" in findings)
    return examples.make_example(
        encoded, str(number), label, dataset="nih", findings=findings, **values
    )


@pytest.fixture
def files(tmp_path: Path) -> dict[str, list[str]]:
    both = record(
        1,
        ("Mass", "Pneumonia"),
        boxes=(LEFT, RIGHT, RIGHT),
        box_findings=("Pneumonia", "Mass", "Pneumonia"),
    )
    # A box of what the film's labels do not name.
    other = record(2, ("Pneumonia",), boxes=(LEFT,), box_findings=("Nodule",))
    return {
        "train": write(tmp_path / "train.gz", both, record(3, ("No Finding",))),
        "test": write(tmp_path / "test.gz", other, record(4, ("Pneumonia",))),
    }


def test_each_finding_has_its_own_boxes(files: dict[str, list[str]]) -> None:
    found = {film.patient: film for film in films.list_films(files)}
    assert set(found) == {"nih:1", "nih:2", "nih:4"}  # normal films are no matter here
    pneumonia, mass = (found["nih:1"].boxed(name) for name in ("Pneumonia", "Mass"))
    assert pneumonia is not None
    assert mass is not None
    assert (pneumonia.boxes, mass.boxes) == ((LEFT, RIGHT), (RIGHT,))
    assert (pneumonia.split, pneumonia.dataset) == ("train", "nih")
    assert found["nih:2"].boxed("Nodule") is None
    assert found["nih:4"].boxed("Pneumonia") is None


def test_chosen_films_come_ready_for_the_network(files: dict[str, list[str]]) -> None:
    wanted = films.list_films(files)[0].sha256
    ((names, images),) = films.read_images(files, [wanted], 24)
    assert names == [wanted]
    assert (images.shape, images.dtype) == ((1, 24, 24, 3), np.float32)
    assert 0 <= images.min() < images.max() <= 1
    assert list(films.read_images(files, [], 24)) == []


def made(number: int, split: str, dataset: str = "nih", *, boxed: bool = True) -> Film:
    boxes = (("Pneumonia", LEFT),) if boxed else ()
    return Film(f"{number:04}", f"p{number}", dataset, split, ("Pneumonia",), boxes)


def test_the_prior_knows_all_splits_and_the_others_are_of_those_asked_for() -> None:
    known = [made(number, "train" if number % 2 else "test") for number in range(10)]
    known += [made(number, "test", "pediatric", boxed=False) for number in range(10, 14)]
    chosen = sampling.choose(known, "Pneumonia", ExplanationProbeSettings())
    assert len(chosen.known) == 10
    assert {film.split for film in chosen.boxed} == {"test"}
    assert len(chosen.boxed) == 5
    assert chosen.datasets == ("nih", "pediatric")
    assert set(chosen.drawn) == {film.sha256 for film in known if film.split == "test"}


def test_samples_are_bounded_and_follow_the_seed() -> None:
    known = [made(number, "test") for number in range(300)]
    few = ExplanationProbeSettings(max_films=20, faithfulness_films=4, sanity_films=3)
    first, again, other = (
        sampling.choose(known, "Pneumonia", few.model_copy(update={"seed": seed}))
        for seed in (1, 1, 2)
    )
    assert (len(first.boxed), len(first.drawn)) == (20, 8)
    assert first == again
    assert first.drawn != other.drawn
    assert len(first.sha256) <= 28


def test_of_the_drawn_the_model_is_surest_of_some() -> None:
    assert sampling.surest(["a", "b", "c"], {"a": 0.1, "b": 2.0, "c": 1.0}, 2) == ["b", "c"]
