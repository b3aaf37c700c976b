"""From the exported model through a server's log to `cxr drift`."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_data_validation as tfdv
from click.testing import CliRunner, Result

from components.trainer.monitoring import STATISTICS, probability_names
from pipeline.cli import cli
from serving.server.request_log import RequestLog, scalars
from tests.components.trainer.conftest import Chests
from tests.components.trainer.samples import encode


@pytest.fixture(scope="module")
def served(chests: Chests) -> Any:
    return tf.saved_model.load(str(chests.model_dir))


def ask(served: Any, images: list[bytes]) -> dict[str, Any]:
    fed = tf.constant(images)
    answer, measured = (
        {name: value.numpy() for name, value in served.signatures[name_](image_bytes=fed).items()}
        for name_ in ("serving_default", "measure")
    )
    return scalars(answer, measured)


def test_statistics_are_those_of_what_is_served(served: Any, chests: Chests) -> None:
    statistics = tfdv.load_stats_binary(str(chests.model_dir / STATISTICS)).datasets[0]
    found = {one.path.step[0]: one.num_stats for one in statistics.features}

    expected = ask(served, chests.validation)

    assert found.keys() == expected.keys()
    for name, stats in found.items():
        # Training films have neither: the model knows them too well.
        films = 60 if name in ("distance", "probability") else 140
        assert stats.common_stats.num_non_missing == films, name
    for name in ("distance", "probability"):
        assert found[name].mean == pytest.approx(float(np.mean(expected[name])), rel=0.02)


def test_the_probabilities_of_several_findings_are_named() -> None:
    assert probability_names(["pneumonia"]) == ["probability"]
    assert probability_names(["Mass", "Hernia"]) == ["probability/Mass", "probability/Hernia"]


def drift(served: Any, chests: Chests, log: Path, films: list[np.ndarray], *more: str) -> Result:
    moment = datetime.datetime(2031, 5, 14, 9, 26, tzinfo=datetime.UTC)
    with RequestLog(log, clock=lambda: moment) as requests:
        requests.record("cxr", 3, ask(served, [encode(film) for film in films]))
    return CliRunner().invoke(cli, ["drift", str(log), "--model", str(chests.model_dir), *more])


def test_films_like_those_of_the_training_are_no_drift(
    served: Any, chests: Chests, tmp_path: Path
) -> None:
    found = drift(served, chests, tmp_path / "log", chests.others)

    assert found.exit_code == 0, found.output
    assert found.output.startswith(f"60 requests to {chests.model_dir}, from 2031-05-14T09:26Z")
    assert "MOVED" not in found.output
    assert "Did not move: " in found.output
    assert "not a diagnostic device" in found.output


def test_other_films_are_drift_and_what_moved_is_said(
    served: Any, chests: Chests, tmp_path: Path
) -> None:
    darker = [film // 2 for film in chests.others]

    found = drift(served, chests, tmp_path / "log", darker)

    assert found.exit_code == 3, found.output
    moved = [line for line in found.output.splitlines() if line.startswith("MOVED: ")]
    (grey,) = (line for line in moved if "the mean grey level fell from 0." in line)
    assert "(medians of 140 films of the training and 60 requests)" in grey


def test_as_json(served: Any, chests: Chests, tmp_path: Path) -> None:
    negatives = [255 - film for film in chests.others]

    found = drift(served, chests, tmp_path / "log", negatives, "--json")

    told = json.loads(found.output)
    assert (found.exit_code, told["verdict"], told["requests"]["count"]) == (3, "drift", 60)
    (distance,) = (one for one in told["scalars"] if one["name"] == "distance")
    assert distance["moved"]
    assert distance["now"] > distance["before"]
    assert distance["divergence"] > distance["limit"]


def test_too_few_requests_are_said_and_not_guessed_from(
    served: Any, chests: Chests, tmp_path: Path
) -> None:
    negatives = [255 - film for film in chests.others[:10]]

    found = drift(served, chests, tmp_path / "log", negatives)

    assert found.exit_code == 0
    assert "Too few to tell, 50 of either are needed" in found.output
    assert "MOVED" not in found.output
    assert "Did not move" not in found.output
