"""`cxr models` on real models, and a server that goes by what it writes."""

import json
import time
from pathlib import Path
from typing import Any

import grpc
import pytest
from click.testing import CliRunner, Result
from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub

from components.disclaimer import DISCLAIMER
from components.infra_canary.questions import predict_request
from pipeline.commands.models import ModelsError, models
from serving.server.config import ServerConfig
from serving.server.embedded import EmbeddedServer
from serving.versions import ModelFolder
from tests.components.infra_canary import models as exports
from tests.serving.tiny_model import encoded_image


def cxr(*arguments: object) -> Result:
    return CliRunner().invoke(
        models, [str(argument) for argument in arguments], catch_exceptions=False
    )


def as_json(*arguments: object) -> Any:
    result = cxr(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exports.export_model(tmp_path_factory.mktemp("exported") / "model")


@pytest.fixture(scope="module")
def doubtful(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose answers are not those of its Trainer."""
    folder = tmp_path_factory.mktemp("doubtful") / "model"
    return exports.export_model(folder, golden_shift=0.1)


@pytest.fixture
def folder(tmp_path: Path, exported: Path, monkeypatch: pytest.MonkeyPatch) -> ModelFolder:
    """Three versions that the run `demo` pushed."""
    monkeypatch.chdir(tmp_path)
    folder = ModelFolder(Path("runs/demo/serving/cxr"))
    for _ in range(3):
        folder.publish(exported)
    return folder


def numbers(folder: ModelFolder) -> list[int]:
    """Oldest first."""
    return [version.number for version in folder.versions()][::-1]


@pytest.mark.parametrize(
    "where",
    [[], ["demo"], ["runs/demo"], ["runs/demo/serving"], ["runs/demo/serving/cxr"]],
)
def test_a_run_is_found_by_name_and_by_path(folder: ModelFolder, where: list[str]) -> None:
    found = as_json("list", *where)
    assert found["folder"] == str(folder.path)
    assert [one["version"] for one in found["versions"]] == numbers(folder)[::-1]
    assert found["versions"][0] == {
        "version": numbers(folder)[-1],
        "path": str(folder.versions()[0].path),
        "complete": True,
        "labels": ["stable"],
        "pushed": folder.versions()[0].pushed,
        "backbone": "MeanLevel",
        "task": "binary",
        "validation_auc": 0.9,
        "images": 7,
    }
    assert found["labels"] == {"stable": numbers(folder)[-1]}
    assert found["rollback_to"] == numbers(folder)[-2]


def test_the_list_shows_what_is_incomplete(
    folder: ModelFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    (folder.versions()[-1].path / "variables/variables.index").unlink()
    lines = cxr("list").stdout.splitlines()
    assert [line.split()[0] for line in lines[1:4]] == [str(n) for n in numbers(folder)[::-1]]
    assert "stable" in lines[1]
    assert "0.900" in lines[1]
    assert lines[3].endswith("incomplete: variables/variables.index is missing")
    assert lines[-1] == DISCLAIMER


def test_mistakes_say_what_there_is(folder: ModelFolder, tmp_path: Path) -> None:
    with pytest.raises(ModelsError, match=r"no versions of a model; looked for them in runs/nih"):
        cxr("list", "nih")
    with pytest.raises(ModelsError, match="no version 5; there are"):
        cxr("promote", 5)
    ModelFolder(tmp_path / "runs/both/serving/cxr").path.mkdir(parents=True)
    with pytest.raises(ModelsError, match=r"which RUN\?.*both, demo"):
        cxr("list")


def test_what_is_not_as_its_trainer_made_it_gets_no_label(
    folder: ModelFolder, doubtful: Path
) -> None:
    before = as_json("list")["labels"]
    bad = folder.publish(doubtful, promote=False).number
    with pytest.raises(ModelsError, match=r"up to 0\.1 off those of its Trainer"):
        cxr("promote", bad)
    for damage, said in ((b"garbage", "cannot be loaded"), (b"", "incomplete")):
        (folder.path / str(bad) / "saved_model.pb").write_bytes(damage)
        with pytest.raises(ModelsError, match=said):
            cxr("promote", bad)
    assert as_json("list")["labels"] == before | {"canary": bad}


def test_prune_tells_what_it_removed(folder: ModelFolder) -> None:
    first, *kept = numbers(folder)
    assert as_json("prune", "--keep", 1)["removed"] == [first]
    assert numbers(folder) == kept


def test_a_server_follows_promotion_trial_and_rollback(folder: ModelFolder, exported: Path) -> None:
    config = ServerConfig(
        model_config_file=folder.config_file,
        model_config_file_poll_wait_seconds=0.1,
        file_system_poll_wait_seconds=0.1,
        allow_version_labels_for_unavailable_models=True,
        port=0,
        rest_api_port=None,
    )
    first, _, third = numbers(folder)
    with EmbeddedServer(config) as server:
        address = f"127.0.0.1:{server.grpc_port}"
        assert served(address, stable=third)

        found = as_json("promote", first, "--label", "canary")
        assert found["labels"] == {"canary": first, "stable": third}
        assert served(address, stable=third, canary=first)

        as_json("rollback", "--label", "canary")
        assert served(address, stable=third, canary=None)

        result = cxr("promote", first)
        assert "answers 8 synthetic films as its Trainer did" in result.stdout
        assert served(address, stable=first)

        assert as_json("rollback")["labels"] == {"stable": third}
        assert served(address, stable=third)


def served(address: str, **expected: int | None) -> bool:
    """Whether, in a while, each label is answered by the version; None: by none."""
    deadline = time.monotonic() + 10
    while True:
        found = {label: version_behind(address, label) for label in expected}
        if found == expected or time.monotonic() > deadline:
            return found == expected
        time.sleep(0.05)


def version_behind(address: str, label: str) -> int | None:
    request = predict_request("cxr", "serving_default", "image_bytes", [encoded_image(100)])
    request.model_spec.version_label = label
    with grpc.insecure_channel(address) as channel:
        try:
            response = PredictionServiceStub(channel).Predict(request, timeout=10)
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.INVALID_ARGUMENT:
                raise
            return None
    return response.model_spec.version.value
