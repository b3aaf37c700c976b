"""Each node's resources, retries, caching and placement."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from google.protobuf import json_format
from kfp.kubernetes import kubernetes_executor_config_pb2
from kfp.pipeline_spec import pipeline_spec_pb2

from components.errors import InputError
from pipeline.config import load_config
from pipeline.runners.kubeflow.nodes import gigabytes, processors
from pipeline.runners.kubeflow.settings import KubeflowSettings, NodeSettings, Retries
from tests.pipeline.runners.kubeflow.compiled import compiled, executor, inner_tasks, kubernetes


@pytest.mark.parametrize(
    ("quantity", "expected"),
    [("8G", 8.0), ("8Gi", 8.589934592), ("500M", 0.5), ("1.5Ti", 1649.267441664)],
)
def test_memory_in_gigabytes(quantity: str, expected: float) -> None:
    assert gigabytes(quantity) == pytest.approx(expected, rel=1e-12)


def test_processors_in_numbers() -> None:
    assert (processors("4"), processors("0.5"), processors("250m")) == (4, 0.5, 0.25)


def test_what_is_said_of_a_node_wins_over_what_is_said_of_all_and_that_over_what_is_sensible() -> (
    None
):
    plain = KubeflowSettings()
    trainer, gate = plain.node("Trainer"), plain.node("ModelGate")
    assert gigabytes(trainer.memory or "") > gigabytes(gate.memory or "")

    settings = KubeflowSettings(
        defaults=NodeSettings(memory="5Gi", retries=Retries(count=5)),
        nodes={"Trainer": NodeSettings(memory="64Gi")},
    )
    assert settings.node("Trainer").memory == "64Gi"
    assert settings.node("Scorer").memory == "5Gi"
    assert settings.node("Trainer").retries == Retries(count=5)
    assert settings.node("Trainer").cpu == trainer.cpu


def test_resources_are_written_for_old_and_new_versions() -> None:
    spec, _ = compiled("pediatric", "kubeflow.nodes.Scorer={cpu: 1500m, memory: 10G}")
    assert executor(spec, "Scorer")["resources"] == {
        "resourceCpuRequest": "1500m",
        "resourceCpuLimit": "1500m",
        "cpuRequest": 1.5,
        "cpuLimit": 1.5,
        "resourceMemoryRequest": "10G",
        "resourceMemoryLimit": "10G",
        "memoryRequest": 10,
        "memoryLimit": 10,
    }


def test_retries_and_caching() -> None:
    spec, _ = compiled(
        "pediatric",
        "kubeflow.defaults.retries={count: 4, seconds: 10, factor: 3, max_seconds: 90}",
        "kubeflow.nodes.Scorer={cache: false, retries: {count: 0}}",
    )
    tasks = inner_tasks(spec)
    assert tasks["Trainer"]["retryPolicy"] == {
        "maxRetryCount": 4,
        "backoffDuration": "10s",
        "backoffFactor": 3,
        "backoffMaxDuration": "90s",
    }
    assert "retryPolicy" not in tasks["Scorer"]
    assert tasks["Trainer"]["cachingOptions"] == {"enableCache": True}
    assert tasks["Scorer"]["cachingOptions"] == {}
    # A DAG is not tried again as a whole.
    assert "retryPolicy" not in spec["root"]["dag"]["tasks"]["tfx-dag"]


@pytest.mark.parametrize("override", ["kubeflow.defaults.cache=true", "kubeflow.defaults.cpu=1"])
def test_what_is_said_of_one_run_is_never_another_runs(override: str) -> None:
    spec, _ = compiled("pediatric", override, fingerprint="of-some-films")
    assert inner_tasks(spec)["Scorer"]["cachingOptions"] == {"enableCache": True}
    assert inner_tasks(spec)["Verdict"]["cachingOptions"] == {}
    assert spec["root"]["dag"]["tasks"]["ReportVerdict"]["cachingOptions"] == {}


@pytest.mark.parametrize("node", ["Verdict", "ReportVerdict"])
def test_a_cache_for_what_has_none_is_refused(node: str) -> None:
    with pytest.raises(InputError, match=rf"kubeflow\.nodes\.{node}\.cache: .*leave it out"):
        compiled("pediatric", f"kubeflow.nodes.{node}.cache=true")


def test_placement_data_and_secrets_are_told_to_kubernetes() -> None:
    _, platform = compiled(
        "pediatric",
        "kubeflow.nodes.Trainer={gpu: 1, shared_memory: 4Gi, timeout_seconds: 3600, "
        "node_selector: {pool: gpu}, tolerations: [{key: nvidia.com/gpu, effect: NoSchedule}]}",
        "kubeflow.volumes=[{claim: x-rays, path: /data, sub_path: chest}]",
        "kubeflow.secrets=[{name: s3, env: {AWS_ACCESS_KEY_ID: accesskey}}]",
        "kubeflow.image_pull_policy=Always",
        "kubeflow.image_pull_secrets=[registry]",
    )
    trainer, gate = kubernetes(platform, "Trainer"), kubernetes(platform, "ModelGate")
    everywhere = {
        "pvcMount": [{"constant": "x-rays", "mountPath": "/data", "subPath": "chest"}],
        "secretAsEnv": [
            {
                "secretName": "s3",
                "keyToEnv": [{"secretKey": "accesskey", "envVar": "AWS_ACCESS_KEY_ID"}],
                "optional": False,
            }
        ],
        "imagePullPolicy": "Always",
        "imagePullSecret": [{"secretName": "registry"}],
    }
    assert {key: gate[key] for key in gate if key in everywhere} == everywhere
    own = {
        "nodeSelector": {"labels": {"pool": "gpu"}},
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
        "enabledSharedMemory": {"volumeName": "shm", "size": "4Gi"},
        "activeDeadlineSeconds": 3600,
    }
    assert {key: trainer[key] for key in trainer if key not in gate} == own


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("kubeflow.default.cpu=2", r"did you mean kubeflow\.defaults\?"),
        ("kubeflow.nodes.Trainer.memry=2G", r"did you mean kubeflow\.nodes\.Trainer\.memory\?"),
        ("kubeflow.defaults.memory=8GB", r"kubeflow\.defaults\.memory"),
        ("kubeflow.defaults.cpu=-1", r"kubeflow\.defaults\.cpu"),
        ("kubeflow.defaults.retries.factor=1.5", r"retries\.factor"),
        ("kubeflow.defaults.tolerations=[{key: a, value: b}]", "Exists takes none"),
        ("kubeflow.volumes=[{claim: a, path: /x}, {claim: a, path: /y}]", "can be mounted once"),
        ("kubeflow.volumes=[{claim: a.b, path: /x}]", "claim"),
        ("kubeflow.secrets=[{name: s, env: {1A: k}}]", r"kubeflow\.secrets"),
        ("kubeflow.env={a-b: c}", r"kubeflow\.env"),
        ("kubeflow.webhook=ftp://x", r"kubeflow\.webhook"),
    ],
)
def test_settings_that_kubernetes_would_refuse_are_refused_at_once(
    override: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        load_config("pediatric", [override])


def test_the_settings_in_the_documentation_are_taken() -> None:
    page = Path(__file__).parents[4] / "docs" / "kubeflow.md"
    text = page.read_text(encoding="utf-8").split("```yaml\n")[1].split("```")[0]
    settings = json.dumps(yaml.safe_load(text)["kubeflow"])
    spec, platform = compiled("pediatric", f"kubeflow={settings}")
    trainer = executor(spec, "Trainer")
    assert trainer["resources"]["resourceMemoryLimit"] == "32Gi"
    assert trainer["env"] == [{"name": "AWS_ENDPOINT_URL", "value": "http://minio:9000"}]
    assert kubernetes(platform, "Trainer")["enabledSharedMemory"]["size"] == "4Gi"
    json_format.ParseDict(spec["deploymentSpec"], pipeline_spec_pb2.PipelineDeploymentConfig())
    for config in platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"].values():
        json_format.ParseDict(config, kubernetes_executor_config_pb2.KubernetesExecutorConfig())
    handler = spec["root"]["dag"]["tasks"]["ReportVerdict"]["inputs"]["parameters"]
    assert handler["webhook"]["runtimeValue"]["constant"] == "http://alerts.monitoring/cxr"
