"""The manifests against the schemas of Kubernetes, and against one another."""

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

import serving
from serving.client import DEFAULT_MODEL_NAME
from serving.model_config import FILE_NAME

DEPLOY = Path(serving.__file__).parent / "deploy"
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
# The oldest with all that is used, and the newest that is known.
VERSIONS = ("1.30", "1.37")
# Where KServe mounts what `storageUri` says.
KSERVE = "/mnt/models"
# Of KServe's v1beta1: what a predictor has besides a pod's, and a model besides a container's.
PREDICTOR = {
    "minReplicas": int,
    "maxReplicas": int,
    "scaleTarget": int,
    "scaleMetric": str,
    "timeout": int,
}
MODEL = {
    "modelFormat": dict,
    "protocolVersion": str,
    "runtime": str,
    "runtimeVersion": str,
    "storageUri": str,
}


def load(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text())


def manifest(name: str) -> dict[str, Any]:
    return load(DEPLOY / "kubernetes" / f"{name}.yaml")


@pytest.fixture(scope="module")
def pod() -> dict[str, Any]:
    return manifest("deployment")["spec"]["template"]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_kubernetes_takes_it(path: Path, version: str) -> None:
    kubernetes_validate.validate(load(path), version, strict=True)


def test_a_misspelt_field_would_be_found() -> None:
    deployment = manifest("deployment")
    deployment["spec"]["template"]["spec"]["runAsNonRoot"] = True
    with pytest.raises(kubernetes_validate.ValidationError, match="runAsNonRoot"):
        kubernetes_validate.validate(deployment, VERSIONS[-1], strict=True)


def test_all_files_are_applied_together() -> None:
    kustomization = load(DEPLOY / "kustomization.yaml")
    assert {DEPLOY / one for one in kustomization["resources"]} == set(MANIFESTS)
    (config,) = kustomization["configMapGenerator"]
    assert {DEPLOY / one for one in config["files"]} == set((DEPLOY / "config").iterdir())


def test_names_and_labels_meet(pod: dict[str, Any]) -> None:
    labels = pod["metadata"]["labels"]
    deployment = manifest("deployment")
    assert deployment["spec"]["selector"]["matchLabels"] == labels
    assert manifest("service")["spec"]["selector"] == labels
    for name, key in (("pod_disruption_budget", "selector"), ("network_policy", "podSelector")):
        assert manifest(name)["spec"][key]["matchLabels"] == labels
    target = manifest("horizontal_pod_autoscaler")["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", deployment["metadata"]["name"])
    volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
    claim = volumes["models"]["persistentVolumeClaim"]["claimName"]
    assert claim == manifest("persistent_volume_claim")["metadata"]["name"]
    (config,) = load(DEPLOY / "kustomization.yaml")["configMapGenerator"]
    assert volumes["config"]["configMap"]["name"] == config["name"]


def test_every_port_that_is_named_is_there(pod: dict[str, Any]) -> None:
    (container,) = pod["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"grpc": 8500, "rest": 8501}
    assert {one["targetPort"] for one in manifest("service")["spec"]["ports"]} == set(ports)
    allowed = [
        port["port"]
        for rule in manifest("network_policy")["spec"]["ingress"]
        for port in rule["ports"]
    ]
    assert set(allowed) == set(ports)
    for probe in ("startupProbe", "readinessProbe"):
        assert container[probe]["httpGet"] == {
            "path": f"/v1/models/{DEFAULT_MODEL_NAME}",
            "port": "rest",
        }


def test_the_pod_has_no_rights_that_it_needs_not(pod: dict[str, Any]) -> None:
    spec = pod["spec"]
    (container,) = spec["containers"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {
        mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")
    } == {"/tmp"}
    assert manifest("network_policy")["spec"]["egress"] == []


def test_labels_are_followed_everywhere(pod: dict[str, Any]) -> None:
    (container,) = pod["spec"]["containers"]
    kserve = load(DEPLOY / "kserve" / "inference_service.yaml")
    compose = load(DEPLOY / "compose.yaml")["services"]["tensorflow-serving"]
    for arguments in (
        container["args"],
        kserve["spec"]["predictor"]["model"]["args"],
        compose["command"],
    ):
        flags = dict(one.removeprefix("--").split("=", 1) for one in arguments)
        assert flags["model_config_file"].endswith(f"/{FILE_NAME}")
        assert flags["model_config_file_poll_wait_seconds"] == "5"
        assert flags["allow_version_labels_for_unavailable_models"] == "true"


def test_the_folder_that_a_run_pushes_to_is_the_one_that_is_read(pod: dict[str, Any]) -> None:
    (container,) = pod["spec"]["containers"]
    mount = next(one for one in container["volumeMounts"] if one["name"] == "models")
    run, _, pushed = mount["subPath"].partition("/")
    # As `cxr run --pipeline-root` has it.
    assert pushed == "serving"
    model = load(DEPLOY / "kserve" / "inference_service.yaml")["spec"]["predictor"]["model"]
    claim = manifest("persistent_volume_claim")["metadata"]["name"]
    assert model["storageUri"] == f"pvc://{claim}/{mount['subPath']}"
    page = (DEPLOY.parents[1] / "docs/serving.md").read_text()
    for arguments, folder in ((container["args"], mount["mountPath"]), (model["args"], KSERVE)):
        assert f"--model_config_file={folder}/{FILE_NAME}" in arguments
        served_from = f"{folder}/{DEFAULT_MODEL_NAME}"
        assert f"--pipeline-root VOLUME/{run} --set pusher.served_from={served_from}\n" in page


def test_kserve_has_the_monitoring_of_the_others() -> None:
    service = load(DEPLOY / "kserve" / "inference_service.yaml")
    config = load(DEPLOY / "kserve" / "config_map.yaml")
    kubernetes_validate.validate(config, VERSIONS[-1], strict=True)
    assert config["data"] == {
        file.name: file.read_text() for file in [DEPLOY / "config" / "monitoring.config"]
    }
    volumes = {one["name"]: one for one in service["spec"]["predictor"]["volumes"]}
    assert volumes["config"]["configMap"]["name"] == config["metadata"]["name"]
    model = service["spec"]["predictor"]["model"]
    assert "--monitoring_config_file=/etc/cxr/monitoring.config" in model["args"]
    assert model["securityContext"]["readOnlyRootFilesystem"] is True
    assert {one["mountPath"] for one in model["volumeMounts"]} == {"/etc/cxr", "/tmp"}


@pytest.mark.parametrize("version", VERSIONS)
def test_kserves_predictor_is_a_pod_and_more(version: str) -> None:
    service = load(DEPLOY / "kserve" / "inference_service.yaml")
    assert service["apiVersion"] == "serving.kserve.io/v1beta1"
    assert service["kind"] == "InferenceService"
    assert service["metadata"]["name"] == DEFAULT_MODEL_NAME
    predictor = service["spec"].pop("predictor")
    assert service["spec"] == {}
    model = predictor.pop("model")
    for fields, known in ((predictor, PREDICTOR), (model, MODEL)):
        for name, kind in known.items():
            assert isinstance(fields.pop(name), kind), name
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "cxr"},
        "spec": predictor | {"containers": [model | {"name": "kserve-container"}]},
    }
    kubernetes_validate.validate(pod, version, strict=True)
