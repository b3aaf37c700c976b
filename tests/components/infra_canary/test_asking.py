"""Models asked over gRPC, each with something wrong."""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.infra_canary.asking import Subject, ask
from components.infra_canary.settings import InfraCanarySettings
from components.infra_canary.trial import Check, Trial
from components.trainer.contract_file import CONTRACT
from serving.golden import read_films, read_golden
from serving.server.config import ServerConfig
from serving.server.embedded import EmbeddedServer
from tests.components.infra_canary import models

MODELS: dict[str, dict[str, Any]] = {
    "sound": {},
    "nan": {"probability": models.never_a_number},
    "of_the_batch": {"probability": models.of_the_batch, "golden_shift": None},
    "other_golden": {"golden_shift": 0.05},
    "lacking": {"without": "serving_examples"},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("models")
    for name, what in MODELS.items():
        models.export_model(root / name / "1", **what)
    return root


@pytest.fixture(scope="module")
def endpoint(folder: Path) -> Iterator[str]:
    """A server of all of them."""
    entries = " ".join(
        f'config {{ name: "{name}" base_path: "{folder / name}" model_platform: "tensorflow" }}'
        for name in MODELS
    )
    config = folder / "models.config"
    config.write_text(f"model_config_list {{ {entries} }}")
    settings = ServerConfig(model_config_file=config, port=0, rest_api_port=None)
    with EmbeddedServer(settings) as server:
        yield f"127.0.0.1:{server.grpc_port}"


def subject(folder: Path, name: str, **changes: Any) -> Subject:
    version = folder / name / "1"
    known: dict[str, Any] = {
        "name": name,
        "films": read_films(version),
        "golden": read_golden(version),
        "contract": json.loads((version / CONTRACT).read_bytes()),
    }
    return Subject(**known | changes)


def refusal(checks: Iterator[Check]) -> Check:
    (check,) = Trial(server="", checks=tuple(checks)).refused_by
    return check


@pytest.mark.parametrize(
    ("name", "check", "said"),
    [
        ("nan", "numbers", "values are NaN or infinite"),
        ("of_the_batch", "agreement", "(limit 0.001)"),
        ("other_golden", "golden", "are up to 0.05 off those of the Trainer's own network"),
        ("lacking", "signatures", "the model lacks serving_examples"),
    ],
)
def test_what_is_wrong_is_told(
    folder: Path, endpoint: str, name: str, check: str, said: str
) -> None:
    found = refusal(ask(endpoint, subject(folder, name), InfraCanarySettings()))
    assert found.name == check
    assert said in found.sentence


def test_a_contract_promises_more_signatures(folder: Path, endpoint: str) -> None:
    promising = {**subject(folder, "sound").contract, "quality": {"distance": 1.0}}
    found = refusal(
        ask(endpoint, subject(folder, "sound", contract=promising), InfraCanarySettings())
    )
    assert found.sentence == "the model lacks measure"


def test_what_takes_longer_than_it_may_is_refused(folder: Path, endpoint: str) -> None:
    found = refusal(
        ask(endpoint, subject(folder, "sound"), InfraCanarySettings(max_milliseconds=0.001))
    )
    assert found.name == "latency"
    assert found.value is not None
    assert found.value > 0.1


def test_without_golden_outputs_they_are_not_judged(folder: Path, endpoint: str) -> None:
    checks = list(ask(endpoint, subject(folder, "sound", golden=None), InfraCanarySettings()))
    assert [check.name for check in checks if check.verdict == "not judged"] == ["golden"]
    assert Trial(server="", checks=tuple(checks)).blessed


def test_golden_outputs_of_other_films_are_refused(folder: Path, endpoint: str) -> None:
    sound = subject(folder, "sound")
    found = refusal(
        ask(endpoint, subject(folder, "sound", films=sound.films[:3]), InfraCanarySettings())
    )
    assert "probabilities are up to inf off" in found.sentence


def test_another_decision_is_refused_but_next_to_the_operating_point(
    folder: Path, endpoint: str
) -> None:
    sound = subject(folder, "sound")
    assert sound.golden is not None
    flipped = dataclasses.replace(sound.golden, decision=1 - sound.golden.decision)
    found = refusal(ask(endpoint, subject(folder, "sound", golden=flipped), InfraCanarySettings()))
    assert f"{len(sound.films)} decisions differ" in found.sentence
    tolerant = dataclasses.replace(flipped, tolerance=1.0)
    checks = ask(endpoint, subject(folder, "sound", golden=tolerant), InfraCanarySettings())
    assert Trial(server="", checks=tuple(checks)).blessed


def test_without_films_nothing_can_be_asked(folder: Path, endpoint: str) -> None:
    found = refusal(ask(endpoint, subject(folder, "sound", films=[]), InfraCanarySettings()))
    assert "no synthetic films" in found.sentence


def test_a_model_that_is_not_there_is_told_by_the_servers_code(folder: Path, endpoint: str) -> None:
    unknown = dataclasses.replace(subject(folder, "sound"), name="unknown")
    found = refusal(ask(endpoint, unknown, InfraCanarySettings()))
    assert found.sentence.startswith("the server answers NOT_FOUND")
