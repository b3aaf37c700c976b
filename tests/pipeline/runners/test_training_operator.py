"""The manifest of a training on several machines, without a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from click.testing import CliRunner

from pipeline import runners
from pipeline.commands.run import run
from pipeline.config import load_config

FILE = Path(runners.__file__).parent / "training_operator" / "tfjob.yaml"
VERSIONS = ["1.30", "1.34"]

# Of the operator's own resource definition (kubeflow.org/v1 TFJob), without the pods'.
RUN_POLICY = {"cleanPodPolicy", "backoffLimit", "ttlSecondsAfterFinished", "activeDeadlineSeconds"}
REPLICA = {"replicas", "restartPolicy", "template"}


@pytest.fixture(scope="module")
def spec() -> dict[str, Any]:
    job = yaml.safe_load(FILE.read_text())
    assert (job["apiVersion"], job["kind"]) == ("kubeflow.org/v1", "TFJob")
    return job["spec"]


def container(spec: dict[str, Any], kind: str) -> dict[str, Any]:
    (only,) = spec["tfReplicaSpecs"][kind]["template"]["spec"]["containers"]
    return only


def test_the_operator_knows_its_fields(spec: dict[str, Any]) -> None:
    assert set(spec) == {"runPolicy", "tfReplicaSpecs"}
    assert set(spec["runPolicy"]) <= RUN_POLICY
    assert set(spec["tfReplicaSpecs"]) == {"Chief", "Worker"}
    for replica in spec["tfReplicaSpecs"].values():
        assert set(replica) == REPLICA


def test_whoever_fails_begins_again_and_not_for_ever(spec: dict[str, Any]) -> None:
    """The operator adds up the restarts of containers, those of workers that were done, too."""
    kinds = spec["tfReplicaSpecs"]
    assert kinds["Chief"]["restartPolicy"] == "OnFailure"
    # With OnFailure none would be there for a chief that fails after training.
    assert kinds["Worker"]["restartPolicy"] == "Always"
    assert spec["runPolicy"]["cleanPodPolicy"] == "Running", "else they outlive the chief"

    workers = kinds["Worker"]["replicas"]
    everybody = workers + kinds["Chief"]["replicas"]
    assert workers + 3 * everybody < spec["runPolicy"]["backoffLimit"] <= workers + 4 * everybody


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", ["Chief", "Worker"])
def test_kubernetes_takes_its_pods(spec: dict[str, Any], kind: str, version: str) -> None:
    template = spec["tfReplicaSpecs"][kind]["template"]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "cxr"} | template["metadata"]}

    kubernetes_validate.validate(pod | {"spec": template["spec"]}, version, strict=True)


@pytest.mark.parametrize("kind", ["Chief", "Worker"])
def test_the_operator_tells_its_pods_who_they_are(spec: dict[str, Any], kind: str) -> None:
    """TF_CONFIG goes to the container of this name, with the port of this name."""
    assert container(spec, kind)["name"] == "tensorflow"
    assert [port["name"] for port in container(spec, kind)["ports"]] == ["tfjob-port"]


def test_the_chief_runs_an_experiment_that_the_workers_wait_for(spec: dict[str, Any]) -> None:
    command, name, *options = container(spec, "Chief")["command"][1:]
    assert command == "run"
    overrides = [option.removeprefix("--set=") for option in options if "--set=" in option]

    config = load_config(name, overrides)

    assert config.trainer.devices.strategy == "multi_worker"
    *module, folder = container(spec, "Worker")["command"]
    assert module == ["python", "-m", "components.trainer.worker"]
    assert folder == config.trainer.cache.folder
    for kind in ("Chief", "Worker"):
        (mount,) = container(spec, kind)["volumeMounts"]
        assert folder.startswith(mount["mountPath"])


def test_the_command_line_knows_the_chiefs_options(spec: dict[str, Any]) -> None:
    arguments = container(spec, "Chief")["command"][2:]

    result = CliRunner().invoke(run, [*arguments, "--help"])

    assert result.exit_code == 0, result.output
