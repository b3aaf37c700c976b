"""Nodes whose artifacts are in a store do as they do on paths; and no code takes URIs for paths."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tfx.dsl.components.base.base_executor import BaseExecutor
from tfx.types import standard_artifacts
from tfx.utils import path_utils

from components import storage
from components.baseline_probe.executor import Executor as BaselineProbe
from components.grad_cam.executor import Executor as GradCamReport
from components.infra_canary.executor import SETTINGS, read_trial
from components.infra_canary.executor import Executor as InfraCanary
from components.infra_canary.settings import InfraCanarySettings
from components.pusher import remote
from components.pusher.executor import publish
from components.pusher.settings import PusherSettings
from components.robustness.executor import Executor as Robustness
from components.scorer.executor import Executor as Scorer
from components.scorer.scores import read_scores
from serving.versions import ModelFolder
from tests import stores
from tests.components.baseline_probe import test_executor as probed
from tests.components.grad_cam import made
from tests.components.grad_cam import test_executor as explained
from tests.components.infra_canary import models
from tests.components.robustness import test_executor as tried
from tests.components.scorer import models as scored_models
from tests.components.scorer import test_executor as scored
from tests.serving.test_versions import make_model

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module", autouse=True)
def server() -> Iterator[None]:
    with stores.s3_server():
        yield


@pytest.fixture
def s3() -> str:
    return stores.memory().replace("ram://", f"{stores.BUCKET}/")


@pytest.fixture(params=["memory", "s3"])
def store(request: pytest.FixtureRequest, s3: str) -> str:
    return stores.memory() if request.param == "memory" else s3


def test_scores_are_the_same(store: str, tmp_path: Path) -> None:
    def run(name: str) -> str:
        model = scored_models.model_artifact(tmp_path / name / "model")
        return str(scored.run(tmp_path / name, model).uri)

    here = read_scores(run("here"), "test")
    with stores.artifacts_in(store, Scorer):
        run("there")
    there = read_scores(f"{store}/scores/0", "test")
    assert there.sha256.tolist() == here.sha256.tolist()
    np.testing.assert_array_equal(there.probabilities, here.probabilities)


def test_what_corruptions_do_is_the_same(store: str, tmp_path: Path) -> None:
    records = [tried.make_example(number, number % 2) for number in range(6)]
    here = tried.run(tmp_path / "here", records, severities=1)
    with stores.artifacts_in(store, Robustness):
        assert tried.run(tmp_path / "there", records, severities=1) == here


def test_trivial_models_reach_the_same(s3: str, tmp_path: Path) -> None:
    splits = probed.make_splits(["pediatric"])
    here = probed.run(tmp_path / "here", splits)
    with stores.artifacts_in(s3, BaselineProbe):
        there = probed.run(tmp_path / "there", splits)
    for file in Path(here).glob("*.json"):
        assert (Path(there) / file.name).read_bytes() == file.read_bytes()


def test_explanations_are_the_same(s3: str, tmp_path: Path) -> None:
    films = [made.make_film(number, number % 2) for number in range(8)]
    model = made.model_artifact(tmp_path / "model")
    here = explained.run(tmp_path / "here", films, model, cases=3)
    with stores.artifacts_in(s3, GradCamReport):
        there = explained.run(tmp_path / "there", films, model, cases=3)
    assert explained.read_index(there)["cases"] == explained.read_index(here)["cases"]
    pictures = {path.relative_to(here) for path in here.rglob("*.png")}
    assert pictures
    assert {path.relative_to(there) for path in there.rglob("*.png")} == pictures


def test_a_remote_model_is_tried_and_pushed(store: str, tmp_path: Path) -> None:
    model = standard_artifacts.Model()
    model.uri = f"{store}/model"
    models.export_model(tmp_path / "Format-Serving")
    storage.upload(tmp_path, model.uri)
    blessing = standard_artifacts.InfraBlessing()
    blessing.uri = f"{store}/blessing"
    asked = InfraCanarySettings(server="embedded", tries=1, load_seconds=120, batch_sizes=(1,))
    context = BaseExecutor.Context(tmp_dir=f"{store}/tmp", unique_id="1")
    InfraCanary(context).Do(
        {"model": [model]}, {"blessing": [blessing]}, {SETTINGS: asked.model_dump_json()}
    )
    assert read_trial(blessing.uri).blessed
    assert model.uri == f"{store}/model"

    served = path_utils.serving_model_path(model.uri)
    version, label = publish(served, f"{store}/serving/cxr", PusherSettings())
    assert remote.current_labels(f"{store}/serving/cxr") == {label: version}
    # A Pusher that was killed before ML Metadata knew runs once more.
    assert publish(served, f"{store}/serving/cxr", PusherSettings()) == (version, label)
    with storage.local_copy(f"{store}/serving") as local:
        (found,) = ModelFolder(local / "cxr").versions()
        assert (found.number, found.problem) == (version, "")


def test_a_remote_model_goes_to_a_folder_of_this_machine(store: str, tmp_path: Path) -> None:
    storage.upload(make_model(tmp_path / "exported"), f"{store}/model")
    folder = tmp_path / "serving" / "cxr"
    publish(f"{store}/model", str(folder), PusherSettings())
    (version,) = ModelFolder(folder).versions()
    assert not version.problem


# What opens files of this machine alone.
_FILES_ONLY = {
    "Path", "open", "shutil", "os", "glob", "np", "h5py",
    "tf.data.TFRecordDataset", "tf.io.TFRecordWriter", "tf.saved_model.load", "tf.saved_model.save",
    "keras.saving.load_model",
}  # fmt: skip
# Calls whose values are URIs.
_URIS = {"get_single_uri", "get_split_uri", "serving_model_path"}


def _of_uris(node: ast.AST, names: set[str]) -> bool:
    """Whether an expression is made of an artifact's URI."""
    return any(
        (isinstance(one, ast.Attribute) and one.attr == "uri")
        or (isinstance(one, ast.Name) and one.id in names)
        or (isinstance(one, ast.Call) and ast.unparse(one.func).split(".")[-1] in _URIS)
        for one in ast.walk(node)
    )


def _is_uri(node: ast.AST, names: set[str]) -> bool:
    """Whether a value is a URI, and not something that a call made of one."""
    if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] not in _URIS:
        return False
    return _of_uris(node, names)


def mistaken(source: str) -> list[str]:
    """The calls that hand an artifact's URI to what opens files of this machine alone."""
    found = []
    for function in ast.walk(ast.parse(source)):
        if not isinstance(function, ast.FunctionDef):
            continue
        names = {argument.arg for argument in function.args.args if argument.arg.endswith("uri")}
        for node in ast.walk(function):
            if isinstance(node, ast.Assign) and _is_uri(node.value, names):
                names |= {one.id for one in node.targets if isinstance(one, ast.Name)}
        for node in ast.walk(function):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                if {name, name.split(".")[0]} & _FILES_ONLY and any(
                    _of_uris(argument, names) for argument in node.args
                ):
                    found.append(ast.unparse(node))
    return found


def test_no_node_takes_a_uri_for_a_path() -> None:
    found = {
        str(file.relative_to(ROOT)): calls
        for folder in ("components", "pipeline")
        for file in sorted((ROOT / folder).rglob("*.py"))
        if file.name != "storage.py" and (calls := mistaken(file.read_text("utf-8")))
    }
    assert found == {}


@pytest.mark.parametrize(
    "line",
    [
        "Path(artifact.uri) / 'x'",
        "open(f'{artifact.uri}/x')",
        "os.path.join(artifact.uri, 'x')",
        "tf.data.TFRecordDataset(f'{artifact_utils.get_split_uri(artifacts, split)}/x')",
        "tf.saved_model.load(path_utils.serving_model_path(model_uri))",
        "shutil.copytree(model_uri, there)",
    ],
)
def test_such_a_mistake_is_found(line: str) -> None:
    found = mistaken(f"def do(artifact, model_uri):\n    {line}\n")
    assert found == [line.removesuffix(" / 'x'")]


def test_it_is_found_behind_a_name() -> None:
    source = "def do(inputs):\n    folder = artifact_utils.get_single_uri(inputs)\n    {}\n"
    assert mistaken(source.format("open(folder)")) == ["open(folder)"]
    assert mistaken(source.format("fileio.open(folder)")) == []
