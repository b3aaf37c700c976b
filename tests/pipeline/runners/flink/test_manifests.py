"""The session cluster's files, against their schemas, one another and the settings' defaults."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import apache_beam as beam
import kubernetes_validate
import pytest
import yaml
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.util import assert_that, equal_to

import pipeline
from pipeline.beam_clusters import FlinkSettings
from tests.beam import services

DEPLOY = Path(pipeline.__file__).parent / "runners" / "flink"
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
# The oldest with all that is used, and the newest that is known.
VERSIONS = ("1.30", "1.37")
POOL = FlinkSettings(master="flink:8081").flags()
TASK_MANAGERS = 2


def load(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text())


def manifest(name: str) -> dict[str, Any]:
    return load(DEPLOY / "kubernetes" / f"{name}.yaml")


def pod(name: str) -> dict[str, Any]:
    return manifest(name)["spec"]["template"]["spec"]


def sidecar() -> dict[str, Any]:
    (found,) = pod("taskmanagers")["initContainers"]
    return found


@pytest.fixture(scope="module")
def composed() -> dict[str, Any]:
    return load(DEPLOY / "compose.yaml")["services"]


def test_it_is_what_the_compose_specification_allows() -> None:
    command = [
        *(sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"),
        str(DEPLOY / "compose.yaml"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_kubernetes_takes_it(path: Path, version: str) -> None:
    kubernetes_validate.validate(load(path), version, strict=True)


def test_all_files_are_applied_together() -> None:
    resources = load(DEPLOY / "kustomization.yaml")["resources"]
    assert {DEPLOY / one for one in resources} == set(MANIFESTS)


def test_flink_is_the_version_of_the_settings(composed: dict[str, Any]) -> None:
    images = [one["image"] for one in composed.values() if one["image"].startswith("flink")]
    images += [
        one["image"] for name in ("jobmanager", "taskmanagers") for one in pod(name)["containers"]
    ]
    assert len(images) == 1 + TASK_MANAGERS + 2
    version = re.escape(FlinkSettings().version)
    assert all(re.fullmatch(rf"flink:{version}\.\d+-java17", image) for image in images)


def test_there_are_two_task_managers(composed: dict[str, Any]) -> None:
    managers = [one for one in composed.values() if one.get("command") == "taskmanager"]
    assert len(managers) == manifest("taskmanagers")["spec"]["replicas"] == TASK_MANAGERS


def test_a_pool_is_beside_each_where_the_settings_look_for_it(composed: dict[str, Any]) -> None:
    pools = {
        one["network_mode"]: one["entrypoint"][-1]
        for name, one in composed.items()
        if name.startswith("workers")
    }
    beside = [f"service:taskmanager-{number + 1}" for number in range(TASK_MANAGERS)]
    assert pools == dict.fromkeys(beside, "--service_port=50000")
    assert sidecar()["command"][-1] == "--service_port=50000"
    # Before Flink is, as what Kubernetes calls a sidecar.
    assert sidecar()["restartPolicy"] == "Always"
    assert "--environment_config=localhost:50000" in POOL


def test_workers_see_the_folders_under_their_own_paths(composed: dict[str, Any]) -> None:
    for name in ("workers-1", "workers-2"):
        runs, data = composed[name]["volumes"]
        assert runs["source"].startswith("${CXR_RUNS:?")
        assert runs["target"] == "${CXR_RUNS}"
        assert data["source"].startswith("${CXR_DATA:?")
        assert data["target"] == "${CXR_DATA}"
        assert data["read_only"] is True


def test_ports_are_bound_to_loopback_alone(composed: dict[str, Any]) -> None:
    ports = [port for one in composed.values() for port in one.get("ports", [])]
    assert ports == ["127.0.0.1:8081:8081"]


def test_names_and_labels_meet() -> None:
    service = manifest("service")
    labels = manifest("jobmanager")["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= labels.items()
    named = {one["name"] for one in pod("jobmanager")["containers"][0]["ports"]}
    assert {one["targetPort"] for one in service["spec"]["ports"]} == named
    configuration = manifest("configuration")
    flink = yaml.safe_load(configuration["data"]["config.yaml"])
    assert flink["jobmanager"]["rpc"]["address"] == service["metadata"]["name"]
    for name in ("jobmanager", "taskmanagers"):
        (volume,) = [one for one in pod(name)["volumes"] if one["name"] == "configuration"]
        assert volume["configMap"]["name"] == configuration["metadata"]["name"]
        selected = manifest(name)["spec"]["selector"]["matchLabels"]
        template = manifest(name)["spec"]["template"]["metadata"]["labels"]
        assert selected.items() <= template.items()
        policy = manifest("network_policy")["spec"]["podSelector"]["matchLabels"]
        assert policy.items() <= template.items()
    (claim,) = [
        one["persistentVolumeClaim"]["claimName"]
        for one in pod("taskmanagers")["volumes"]
        if one["name"] == "storage"
    ]
    assert claim == manifest("storage")["metadata"]["name"]


def test_pools_may_be_told_the_keys_of_a_store(composed: dict[str, Any]) -> None:
    # By name alone: what is in the shell or in a secret, and nothing where there is none.
    for name in ("workers-1", "workers-2"):
        assert {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL"} <= set(
            composed[name]["environment"]
        )
    (secret,) = [one["secretRef"] for one in sidecar()["envFrom"]]
    assert secret == {"name": "cxr-flink-store", "optional": True}


def worker_of(_: int) -> int:
    return os.getpid()


def test_the_pools_own_command_starts_workers(composed: dict[str, Any], tmp_path: Path) -> None:
    command = sidecar()["command"]
    assert command == composed["workers-1"]["entrypoint"] == composed["workers-2"]["entrypoint"]
    python, flag, module, port = command
    assert (python, flag, port) == ("python", "-m", "--service_port=50000")
    with (
        services.job_service(tmp_path) as endpoint,
        services.worker_pools(module, tmp_path, 1) as (pool,),
    ):

        def run() -> None:
            options = PipelineOptions(
                runner="PortableRunner",
                job_endpoint=endpoint,
                environment_type="EXTERNAL",
                environment_config=pool,
                sdk_container_image="cxr",
                save_main_session=False,
            )
            with beam.Pipeline(options=options) as job:
                elsewhere = (
                    job
                    | beam.Create([0, 1, 2])
                    | beam.Map(worker_of)
                    | beam.Map(os.getpid().__ne__)
                )
                assert_that(elsewhere, equal_to([True] * 3))

        services.within(120, run)
