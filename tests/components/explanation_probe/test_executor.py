"""Real films, a network that was really trained, and what its explanations are worth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.explanation_probe import executor, report
from components.explanation_probe.artifacts import ExplanationMeasures
from components.explanation_probe.localisation import ENERGY, IOU, POINTING
from components.explanation_probe.measures import Measures
from components.explanation_probe.settings import ExplanationProbeSettings
from tests.components.explanation_probe import trained

SETTINGS = ExplanationProbeSettings(faithfulness_films=20, steps=6, sanity_films=12)


def run(
    root: Path, examples: Any, model: Any, settings: ExplanationProbeSettings = SETTINGS
) -> Path:
    measures = ExplanationMeasures()
    measures.uri = str(root / "measures")
    Path(measures.uri).mkdir(parents=True)
    executor.Executor().Do(
        {"examples": [examples], "model": [model]},
        {"measures": [measures]},
        {"labels": "pneumonia", "settings": settings.model_dump_json(), "code": "x"},
    )
    return root / "measures"


@pytest.fixture(scope="module")
def films() -> dict[int, trained.Film]:
    numbers = [*trained.TRAINING, *trained.TEST]
    return dict(zip(numbers, trained.draw_all(numbers), strict=True))


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory, films: dict[int, trained.Film]) -> Any:
    test = [trained.to_example(number, films[number]) for number in trained.TEST]
    return trained.save_examples(tmp_path_factory.mktemp("examples"), {"test": test})


def train(root: Path, films: dict[int, trained.Film], *, shuffled: bool) -> Any:
    labels = np.array([trained.label_of(number) for number in trained.TRAINING])
    if shuffled:
        labels = np.random.default_rng(0).permutation(labels)
    network = trained.train([films[number] for number in trained.TRAINING], labels)
    return trained.save_model(root, network)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, films: dict[int, trained.Film]) -> Any:
    return train(tmp_path_factory.mktemp("model"), films, shuffled=False)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, examples: Any, model: Any) -> Path:
    return run(tmp_path_factory.mktemp("probe"), examples, model)


@pytest.fixture(scope="module")
def measured(written: Path) -> Measures:
    return report.read_measures(str(written))


def test_a_trained_model_finds_the_boxes_where_no_floor_does(measured: Measures) -> None:
    (found,) = measured.localisation
    assert (found.dataset, found.finding, found.films) == ("nih", "pneumonia", 40)
    assert (found.splits, found.patients, found.few) == ({"test": 40}, 40, False)
    assert [one.measure for one in found.measures] == [POINTING, IOU, ENERGY]
    for one in found.measures:
        assert set(one.floors) == {"random", "centre", "prior"}
        assert one.lift.lower > 0, one
    assert found.pointing is not None
    for floor in found.pointing.floors.values():
        assert found.pointing.model.lower > floor.upper


def test_a_model_that_learnt_from_shuffled_labels_does_not(
    tmp_path: Path, examples: Any, films: dict[int, trained.Film]
) -> None:
    shuffled = train(tmp_path / "model", films, shuffled=True)
    settings = ExplanationProbeSettings(faithfulness_films=0, sanity_films=0)
    found = report.read_measures(str(run(tmp_path, examples, shuffled, settings)))
    assert (found.faithfulness, found.sanity) == ((), ())
    pointing = found.localisation[0].pointing
    assert pointing is not None
    assert pointing.lift.lower < 0


def test_its_answers_depend_on_what_its_maps_call_hot(measured: Measures) -> None:
    (found,) = measured.faithfulness
    assert found.films == 20
    deletion, insertion = found.areas
    assert deletion.lift.lower > 0
    assert deletion.model.estimate < min(one.estimate for one in deletion.floors.values())
    assert insertion.model.estimate > insertion.floors["random"].estimate
    assert found.deletion["heat"][0] == pytest.approx(found.insertion["heat"][-1])


def test_its_maps_change_when_it_forgets(measured: Measures) -> None:
    (found,) = measured.sanity
    # The network is none of the registry: its blocks are not known.
    assert [stage.randomised for stage in found.stages] == ["head", "all layers"]
    assert found.passed
    assert "depend on what the network’s weights are" in found.sentence


def test_every_film_with_boxes_is_written_down(written: Path) -> None:
    rows = json.loads((written / "films.json").read_text())
    assert len({row["sha256"] for row in rows}) == len(rows) == 40
    hits = [row["values"][POINTING]["model"] for row in rows]
    found = report.read_measures(str(written)).localisation[0].pointing
    assert found is not None
    assert np.mean(hits) == pytest.approx(found.model.estimate)


def test_the_same_again_gives_the_same_figures(
    tmp_path: Path, examples: Any, model: Any, written: Path
) -> None:
    again = run(tmp_path, examples, model)
    assert (again / "explanation.json").read_text() == (written / "explanation.json").read_text()


def test_without_boxes_it_is_said(
    tmp_path: Path, model: Any, films: dict[int, trained.Film]
) -> None:
    test = [
        trained.to_example(number, films[number], with_boxes=False) for number in trained.TEST[:8]
    ]
    settings = ExplanationProbeSettings(faithfulness_films=0, sanity_films=0)
    bare = trained.save_examples(tmp_path / "examples", {"test": test})
    found = report.read_measures(str(run(tmp_path, bare, model, settings)))
    assert (found.localisation, found.without_boxes) == ((), ("nih",))


def test_boxes_in_other_splits_are_named_and_not_measured(
    tmp_path: Path, model: Any, films: dict[int, trained.Film]
) -> None:
    boxed = [trained.to_example(number, films[number]) for number in trained.TEST[:6]]
    bare = [
        trained.to_example(number, films[number], with_boxes=False) for number in trained.TEST[6:9]
    ]
    examples = trained.save_examples(tmp_path / "examples", {"train": boxed, "test": bare})
    settings = ExplanationProbeSettings(faithfulness_films=0, sanity_films=0)
    (found,) = report.read_measures(str(run(tmp_path, examples, model, settings))).localisation
    assert (found.films, found.measures, found.pointing) == (0, (), None)
    assert "3 in other splits" in found.unmeasured

    wider = settings.model_copy(update={"splits": ("train", "test")})
    (found,) = report.read_measures(
        str(run(tmp_path / "wider", examples, model, wider))
    ).localisation
    assert (dict(found.splits), found.few) == ({"train": 3}, True)
    assert found.pointing is not None


def test_no_film_with_the_finding_leaves_nothing_to_measure(
    tmp_path: Path, model: Any, films: dict[int, trained.Film]
) -> None:
    normal = [trained.to_example(number, films[number]) for number in trained.TEST[:6:2]]
    examples = trained.save_examples(tmp_path / "examples", {"test": normal})
    found = report.read_measures(str(run(tmp_path, examples, model)))
    assert (found.localisation, found.without_boxes) == ((), ())
    assert (found.faithfulness, found.sanity) == ((), ())
