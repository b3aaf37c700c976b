"""The driver refuses what Kubeflow would, on pipelines of shell commands."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.kubeflow_driver.documents import Package, load
from tests.kubeflow_driver.engine import CACHED, COMPLETE, FAILED, Cluster
from tests.kubeflow_driver.resolving import ResolutionError

TEXT = {"artifactType": {"schemaTitle": "system.Artifact", "schemaVersion": "0.0.1"}}
# Writes its parameter to its output, after that of its input, and says so to Kubeflow.
SCRIPT = """
import json, os, pathlib, sys, time
task = json.loads(sys.argv[1])
def local(artifacts):
    uri = artifacts["artifacts"][0]["uri"]
    return pathlib.Path(os.environ["CXR_KFP_MOUNTS"], uri.replace("://", "/"))
before = [(local(one) / "a.txt").read_text() for one in task["inputs"]["artifacts"].values()]
assert all(one["artifacts"][0]["type"] == {"instanceSchema": ""}
           for one in task["inputs"]["artifacts"].values())
made = local(task["outputs"]["artifacts"]["text"])
made.mkdir()
(made / "a.txt").write_text("".join(before) + task["inputs"]["parameterValues"]["word"])
time.sleep(0.3)  # in which it can be killed
out = pathlib.Path(task["outputs"]["outputFile"])
out.parent.mkdir(exist_ok=True)
uri = task["outputs"]["artifacts"]["text"]["artifacts"][0]["uri"]
metadata = {"n": 1, "of": {"a": 1}}
artifact = {"uri": uri, "metadata": metadata}
out.write_text(json.dumps({"artifacts": {"text": {"artifacts": [artifact]}}}))
print(*(os.environ.get(name) for name in ("NOTE", "PLACE", "KEY", "THIS_MACHINE")))
print(task["inputs"]["parameterValues"]["word"])
"""


def make_component(name: str) -> dict[str, Any]:
    return {
        "executorLabel": f"{name}_executor",
        "inputDefinitions": {"parameters": {"word": {"parameterType": "STRING"}}},
        "outputDefinitions": {"artifacts": {"text": TEXT}},
    }


def make_spec() -> dict[str, Any]:
    """`First`, and `Second` that reads its output; `Last` handles their exit."""
    first, second, last = (make_component(name) for name in ("First", "Second", "Last"))
    second["inputDefinitions"]["artifacts"] = {"text": TEXT}
    container = {
        "container": {
            "image": "x",
            "command": ["python", "-c", SCRIPT],
            "args": ["{{$}}"],
            "env": [{"name": "PLACE", "value": "here"}],
        }
    }
    word = {"word": {"componentInputParameter": "word"}}
    caching = {"cachingOptions": {"enableCache": True}}
    inner = {
        "First": {
            "componentRef": {"name": "First"},
            "inputs": {"parameters": word},
            "retryPolicy": {"maxRetryCount": 1},
            **caching,
        },
        "Second": {
            "componentRef": {"name": "Second"},
            "dependentTasks": ["First"],
            "inputs": {
                "parameters": {"word": {"runtimeValue": {"constant": " two"}}},
                "artifacts": {
                    "text": {
                        "taskOutputArtifact": {"producerTask": "First", "outputArtifactKey": "text"}
                    }
                },
            },
            **caching,
        },
    }
    definition = {"word": {"parameterType": "STRING", "defaultValue": "one", "isOptional": True}}
    return {
        "pipelineInfo": {"name": "words"},
        "schemaVersion": "2.1.0",
        "components": {
            "First": first,
            "Second": second,
            "Last": last,
            "inner": {"inputDefinitions": {"parameters": definition}, "dag": {"tasks": inner}},
        },
        "deploymentSpec": {
            "executors": {f"{name}_executor": container for name in ("First", "Second", "Last")}
        },
        "root": {
            "inputDefinitions": {"parameters": definition},
            "dag": {
                "tasks": {
                    "inner": {"componentRef": {"name": "inner"}, "inputs": {"parameters": word}},
                    "Last": {
                        "componentRef": {"name": "Last"},
                        "dependentTasks": ["inner"],
                        "inputs": {
                            "parameters": {"word": {"taskFinalStatus": {"producerTask": "inner"}}}
                        },
                        "triggerPolicy": {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"},
                    },
                }
            },
        },
    }


def make_package(folder: Path, spec: dict[str, Any]) -> Package:
    note = {
        "podMetadata": {"annotations": {"cxr/note": "noted"}},
        "fieldPathAsEnv": [{"name": "NOTE", "fieldPath": "metadata.annotations['cxr/note']"}],
    }
    secret = {
        "secretName": "keys",
        "keyToEnv": [{"secretKey": "key", "envVar": "KEY"}],
        "optional": False,
    }
    platform = {
        "platforms": {
            "kubernetes": {
                "deploymentSpec": {
                    "executors": {"First_executor": note | {"secretAsEnv": [secret]}}
                }
            }
        }
    }
    file = folder / "words.yaml"
    # Copied, since YAML would write what occurs twice as a reference.
    file.write_text(yaml.safe_dump_all(json.loads(json.dumps([spec, platform]))))
    return load(file)


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    secrets = {"keys": {"key": "secret"}}
    return Cluster(tmp_path, pipeline_root="minio://bucket/v2", secrets=secrets)


def test_artifacts_parameters_and_environment_reach_the_tasks(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THIS_MACHINE", "no pod knows of it")
    run = cluster.run(make_package(tmp_path, make_spec()))

    assert run.state == COMPLETE
    assert run.tasks["First"].log == "noted here secret None\none\n"
    made = run.tasks["Second"].artifacts["text"]
    assert f"/words/{run.id}/Second/" in made.uri
    stored = tmp_path / "store" / made.uri.removeprefix("minio://") / "a.txt"
    assert stored.read_text() == "one two"
    # As ML Metadata gives it back.
    assert made.metadata == {"n": 1.0, "of": {"struct": {"a": 1.0}}}
    assert '"state": "COMPLETE"' in run.tasks["Last"].log
    assert list((tmp_path / "pods").iterdir()) == []


def test_a_secret_that_is_not_there_keeps_a_container_from_starting(tmp_path: Path) -> None:
    without = Cluster(tmp_path, pipeline_root="minio://bucket/v2")
    with pytest.raises(RuntimeError, match="CreateContainerConfigError"):
        without.run(make_package(tmp_path, make_spec()))


def test_the_cache_goes_by_inputs_and_parameters(cluster: Cluster, tmp_path: Path) -> None:
    package = make_package(tmp_path, make_spec())
    cluster.run(package)
    assert cluster.run(package).by_state(CACHED) == {"First", "Second"}
    assert cluster.run(package, {"word": "other"}).by_state(CACHED) == set()


def test_a_task_is_tried_again_as_often_as_its_policy_says(
    cluster: Cluster, tmp_path: Path
) -> None:
    package = make_package(tmp_path, make_spec())

    once = cluster.run(package, killed={"First": 1})
    assert (once.state, once.tasks["First"].attempts) == (COMPLETE, 2)

    twice = cluster.run(package, {"word": "x"}, killed={"First": 2})
    assert (twice.state, twice.tasks["First"].attempts) == (FAILED, 2)
    assert "Second" not in twice.tasks
    assert '"state": "FAILED"' in twice.tasks["Last"].log
    # What it had written went with its pod.
    assert not list((tmp_path / "store").rglob(f"*/{twice.id}/First"))
    assert list((tmp_path / "store").rglob(f"*/{once.id}/First"))
    again = cluster.run(package, {"word": "x"})
    assert again.by_state(COMPLETE) == {"First", "Second", "Last"}


def change(spec: dict[str, Any], *path: str, to: Any) -> dict[str, Any]:
    spec = copy.deepcopy(spec)
    inner = spec
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = to
    return spec


FIRST = ("components", "inner", "dag", "tasks", "First")


@pytest.mark.parametrize(
    ("path", "to", "message"),
    [
        (
            ("components", "First", "inputDefinitions", "parameters", "word", "parameterType"),
            "NUMBER_INTEGER",
            "expected NUMBER_INTEGER, got 'one'",
        ),
        # As TFX writes it beside an exit handler: the DAG is not given the pipeline's parameters.
        (
            ("components", "inner", "inputDefinitions"),
            {"parameters": {}},
            "the parent DAG does not have input parameter 'word'",
        ),
        (
            (*FIRST, "inputs", "parameters"),
            {"word": {"componentInputParameter": "wrod"}},
            "does not have input parameter 'wrod'",
        ),
        ((*FIRST, "inputs", "parameters"), {}, "neither value nor default value"),
        (
            (*FIRST, "inputs", "parameters", "word"),
            {"runtimeValue": {"runtimeParameter": "word"}},
            "not implemented",
        ),
    ],
)
def test_what_the_driver_of_kubeflow_refuses(
    cluster: Cluster, tmp_path: Path, path: tuple[str, ...], to: Any, message: str
) -> None:
    spec = change(make_spec(), *path, to=to)
    if path[1:] == ("inner", "inputDefinitions"):
        del spec["root"]["dag"]["tasks"]["inner"]["inputs"]
    package = make_package(tmp_path, spec)
    with pytest.raises(ResolutionError, match=message):
        cluster.run(package)


def test_unknown_parameters_of_a_run_are_refused(cluster: Cluster, tmp_path: Path) -> None:
    with pytest.raises(ResolutionError, match="no parameters"):
        cluster.run(make_package(tmp_path, make_spec()), {"wrod": "x"})


@pytest.mark.parametrize(
    ("path", "to", "message"),
    [
        (("schemaVersion",), "2.0.0", "schema 2.0.0"),
        (("root", "dagg"), {}, "dagg"),
        (("components", "First", "executorLabel"), 7, "executorLabel|string"),
    ],
)
def test_what_is_no_pipeline_spec_is_refused(
    tmp_path: Path, path: tuple[str, ...], to: Any, message: str
) -> None:
    with pytest.raises(Exception, match=message):
        make_package(tmp_path, change(make_spec(), *path, to=to))
