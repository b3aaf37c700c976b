"""The pipelines as Kubeflow gets them."""

from __future__ import annotations

import dataclasses
import functools
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf import json_format
from kfp import components
from kfp.kubernetes import kubernetes_executor_config_pb2
from kfp.pipeline_spec import pipeline_spec_pb2

from components.errors import InputError
from pipeline.config import Config
from pipeline.pipeline import Places, create_pipeline
from pipeline.runners.kubeflow.compiler import LAUNCH, compile_pipeline, compile_with_tfx
from tests.pipeline.runners.kubeflow.compiled import (
    EXPERIMENTS,
    IMAGE,
    ROOT,
    compiled,
    executor,
    experiment,
    inner_tasks,
    kubernetes,
)

LARGEST_ARGUMENT = 128 * 1024


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_both_documents_are_what_kubeflows_protobufs_say(name: str) -> None:
    spec, platform = compiled(name)

    parsed = json_format.ParseDict(spec, pipeline_spec_pb2.PipelineSpec())
    assert parsed.schema_version == "2.1.0"
    assert parsed.default_pipeline_root == ROOT
    deployment = json_format.ParseDict(
        spec["deploymentSpec"], pipeline_spec_pb2.PipelineDeploymentConfig()
    )
    assert {one.container.image for one in deployment.executors.values()} == {IMAGE}
    assert all(list(one.container.command) == LAUNCH for one in deployment.executors.values())

    json_format.ParseDict(platform, pipeline_spec_pb2.PlatformSpec())
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert executors.keys() == spec["deploymentSpec"]["executors"].keys()
    for config in executors.values():
        json_format.ParseDict(config, kubernetes_executor_config_pb2.KubernetesExecutorConfig())


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_nodes_run_inside_and_the_verdict_is_told_at_the_end(name: str) -> None:
    spec, _ = compiled(name)
    config, places = experiment(name)
    wanted = {node.id for node in create_pipeline(config, places).components}
    assert inner_tasks(spec).keys() == wanted | {"Verdict"}

    outer = spec["root"]["dag"]["tasks"]
    assert outer.keys() == {"tfx-dag", "ReportVerdict"}
    handler = outer["ReportVerdict"]
    # The driver takes the first as the task whose status is told.
    assert handler["dependentTasks"] == ["tfx-dag"]
    assert handler["triggerPolicy"]["strategy"] == "ALL_UPSTREAM_TASKS_COMPLETED"
    assert handler["inputs"]["parameters"]["final_status"] == {
        "taskFinalStatus": {"producerTask": "tfx-dag"}
    }


@pytest.mark.parametrize("name", ["pediatric", "both"])
def test_the_file_loads_as_a_component(name: str, tmp_path: Path) -> None:
    config, places = experiment(name)
    file = tmp_path / "pipeline.yaml"
    written = compile_pipeline(config, places, flavour="kubeflow", image=IMAGE, output=file)

    loaded = components.load_component_from_file(str(file))
    assert loaded.name == written == f"cxr-{name}"
    defaults = {
        key: (one.default, one.optional) for key, one in loaded.component_spec.inputs.items()
    }
    assert defaults == {
        "overrides": ("", True),
        "data_root": ("", True),
        "data_fingerprint": ("", True),
        "serving_root": ("", True),
        "train_steps": (0, True),
    }
    assert loaded.platform_spec.platforms["kubernetes"]


def test_the_file_says_everything_where_it_stands(tmp_path: Path) -> None:
    config, places = experiment("pediatric")
    file = tmp_path / "pipeline.yaml"
    compile_pipeline(config, places, flavour="kubeflow", image=IMAGE, output=file)
    events = yaml.parse(file.read_text())
    assert not [event for event in events if isinstance(event, yaml.AliasEvent)]
    assert list(yaml.safe_load_all(file.read_text())) == list(compiled("pediatric"))


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_node_has_tfx_types_and_its_name_among_its_arguments(name: str) -> None:
    spec, _ = compiled(name)
    args = executor(spec, "Trainer")["args"]
    assert args[:2] == ["--node", "Trainer"]
    carried = json.loads(args[args.index("--json_serialized_outputs_spec_args") + 1])
    model = carried["artifacts"]["model"]["artifactType"]
    assert model["instanceSchema"].startswith("title: tfx.Model\n")
    # Whereas Kubeflow is told its own.
    outputs = spec["components"]["Trainer"]["outputDefinitions"]["artifacts"]
    assert outputs["model"]["artifactType"] == {
        "schemaTitle": "system.Model",
        "schemaVersion": "0.0.1",
    }


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_runtime_parameters_reach_the_nodes_they_concern(name: str) -> None:
    spec, _ = compiled(name)
    given = {
        node: {
            key: source["componentInputParameter"]
            for key, source in task["inputs"].get("parameters", {}).items()
            if key.startswith("cxr_")
        }
        for node, task in inner_tasks(spec).items()
    }
    everywhere = {"cxr_overrides": "overrides"}
    data = {"cxr_data_root": "data_root", "cxr_data_fingerprint": "data_fingerprint"}
    assert given.pop("XrayExampleGen") == everywhere | data
    assert given.pop("Pusher") == everywhere | {"cxr_serving_root": "serving_root"}
    assert given.pop("Trainer") == everywhere | {"cxr_train_steps": "train_steps"}
    assert all(parameters == everywhere for parameters in given.values())


def keyed(spec: dict[str, Any]) -> dict[str, Any]:
    """What of each node is in Kubeflow's cache key, but for its inputs' artifacts."""
    return {
        node: (
            task["inputs"].get("parameters"),
            spec["components"][node].get("outputDefinitions"),
            executor(spec, node)["image"],
            executor(spec, node)["command"] + executor(spec, node)["args"],
        )
        for node, task in inner_tasks(spec).items()
    }


def changed(before: dict[str, Any], after: dict[str, Any]) -> set[str]:
    assert before.keys() == after.keys()
    return {node for node in before if before[node] != after[node]}


def test_a_setting_invalidates_the_nodes_that_it_touches_alone() -> None:
    before = keyed(compiled("pediatric")[0])
    trained = keyed(compiled("pediatric", "trainer.learning_rate=0.01")[0])
    assert changed(before, trained) == {"Trainer", "EvaluationReport"}
    pushed = keyed(compiled("pediatric", "pusher.keep=7")[0])
    assert changed(before, pushed) == {"Pusher", "EvaluationReport"}


def test_what_kubernetes_is_told_invalidates_nothing() -> None:
    plain, plain_platform = compiled("pediatric")
    more = ("kubeflow.defaults.memory=32Gi", "kubeflow.nodes.Trainer.gpu=1")
    spec, platform = compiled("pediatric", *more)
    assert not changed(keyed(plain), keyed(spec))
    assert executor(spec, "Trainer")["resources"]["resourceMemoryLimit"] == "32Gi"
    assert executor(spec, "Trainer")["resources"]["accelerator"] == {
        "type": "nvidia.com/gpu",
        "count": "1",
        "resourceType": "nvidia.com/gpu",
        "resourceCount": "1",
    }
    assert platform == plain_platform  # the experiment on the pods, too


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_data_that_is_not_seen_is_read_anew(name: str) -> None:
    unseen, seen = compiled(name)[0], compiled(name, fingerprint="0123456789abcdef")[0]
    cached = {node for node, task in inner_tasks(unseen).items() if task["cachingOptions"]}
    assert inner_tasks(unseen).keys() - cached == {"XrayExampleGen", "Verdict"}
    cached = {node for node, task in inner_tasks(seen).items() if task["cachingOptions"]}
    assert inner_tasks(seen).keys() - cached == {"Verdict"}
    fingerprint = inner_tasks(seen)["XrayExampleGen"]["inputs"]["parameters"]["fingerprint"]
    assert fingerprint == {"runtimeValue": {"constant": "0123456789abcdef"}}


def uncached(spec: dict[str, Any]) -> set[str]:
    return {node for node, task in inner_tasks(spec).items() if not task["cachingOptions"]}


def test_weights_that_are_not_seen_are_read_anew(tmp_path: Path) -> None:
    everything = ("embedding.enabled=true", "trainer.precision=float32", "tuner.enabled=true")
    made = functools.partial(compiled, "both", *everything, fingerprint="of-some-films")
    here = tmp_path / "mine.weights.h5"
    here.write_bytes(b"1")
    seen = made(f"trainer.weights={here}")[0]
    for known in (made()[0], made("trainer.weights=none")[0], seen):
        assert uncached(known) == {"Verdict"}
    # On a claim: nobody here would know that it was replaced.
    unseen = made("trainer.weights=/data/mine.weights.h5")[0]
    assert uncached(unseen) - {"Verdict"} == {
        node
        for node, task in inner_tasks(unseen).items()
        if "/data/mine.weights.h5" in json.dumps(task) and node != "EvaluationReport"
    }
    assert {"Trainer", "Tuner", "Embedder", "CrossDatasetMatrix"} < uncached(unseen)


def test_vertex_reads_weights_that_are_not_seen_anew(tmp_path: Path) -> None:
    config, places = experiment(
        "pediatric", "trainer.weights=/gcs/mine.weights.h5", fingerprint="of-some-films"
    )
    places = dataclasses.replace(places, pipeline_root="gs://bucket/cxr")
    file = tmp_path / "pipeline.yaml"
    compile_pipeline(config, places, flavour="vertex", image=IMAGE, output=file)
    (spec,) = yaml.safe_load_all(file.read_text())
    tasks = spec["root"]["dag"]["tasks"]
    assert {node for node, task in tasks.items() if not task["cachingOptions"]} == {"Trainer"}


def test_tfx_compiles_no_resolver_of_our_own_for_vertex() -> None:
    """Why earlier runs are found there no more than on open-source Kubeflow."""
    config, places = experiment("pediatric")
    remembering = create_pipeline(config, dataclasses.replace(places, remembers=True))
    with pytest.raises(TypeError, match=r"only support Latest.*LastOtherBlessedModel"):
        compile_with_tfx(remembering, image=IMAGE)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_what_the_driver_hands_on_fits_into_an_argument(name: str) -> None:
    """Linux takes no longer one: executor input and component spec are one each."""
    spec, _ = compiled(name)
    for node, task in inner_tasks(spec).items():
        values = {
            key: source.get("runtimeValue", {}).get("constant", "x" * 200)
            for key, source in task["inputs"].get("parameters", {}).items()
        }
        places = 1000 * len(task["inputs"].get("artifacts", {}))
        assert len(json.dumps(values)) + places < LARGEST_ARGUMENT / 2, node
        assert len(json.dumps(spec["components"][node])) < LARGEST_ARGUMENT / 2, node


@pytest.mark.parametrize("root", ["/pipeline", "file:///x", "hdfs://name/x", "oci://x", "s3:/x"])
def test_a_root_that_kubeflow_cannot_write_to_is_refused(root: str, tmp_path: Path) -> None:
    config, places = experiment("pediatric")
    places = dataclasses.replace(places, pipeline_root=root)
    file = tmp_path / "pipeline.yaml"
    with pytest.raises(InputError, match=r"--pipeline-root .*gs://BUCKET.* or s3://"):
        compile_pipeline(config, places, flavour="kubeflow", image=IMAGE, output=file)
    with pytest.raises(InputError, match=r"vertex .* give gs://BUCKET"):
        compile_pipeline(config, places, flavour="vertex", image=IMAGE, output=file)
    assert not file.exists()


def test_settings_of_a_node_that_is_not_there_are_refused() -> None:
    with pytest.raises(InputError, match=r"kubeflow\.nodes\.Trianer.*did you mean Trainer\?"):
        compiled("pediatric", "kubeflow.nodes.Trianer.cpu=8")
    # The pediatric set is not balanced.
    with pytest.raises(InputError, match="has no such node; did you mean Evaluator"):
        compiled("pediatric", "kubeflow.nodes.UnsampledEvaluator.cpu=8")
    spec, _ = compiled("pediatric", "kubeflow.nodes.ReportVerdict.cpu=2")
    assert executor(spec, "ReportVerdict")["resources"]["cpuLimit"] == 2


def vertex_spec(file: Path, fingerprint: str) -> tuple[dict[str, Any], Config, Places]:
    """The pipeline that Vertex gets, and what it was made of."""
    config, places = experiment("pediatric", fingerprint=fingerprint)
    places = dataclasses.replace(places, pipeline_root="gs://bucket/cxr")
    compile_pipeline(config, places, flavour="vertex", image=IMAGE, output=file)
    (spec,) = yaml.safe_load_all(file.read_text())
    return spec, config, places


def test_vertex_reads_data_that_is_not_seen_anew(tmp_path: Path) -> None:
    spec, config, places = vertex_spec(tmp_path / "pipeline.yaml", "")
    plain = compile_with_tfx(create_pipeline(config, places), image=IMAGE)
    assert plain["root"]["dag"]["tasks"]["XrayExampleGen"]["cachingOptions"] == {
        "enableCache": True
    }
    plain["root"]["dag"]["tasks"]["XrayExampleGen"]["cachingOptions"] = {}
    assert spec == plain


def test_vertex_gets_tfx_own(tmp_path: Path) -> None:
    spec, config, places = vertex_spec(tmp_path / "pipeline.yaml", "0123456789abcdef")

    assert spec == compile_with_tfx(create_pipeline(config, places), image=IMAGE)
    assert "inputDefinitions" not in spec["root"]
    assert executor(spec, "Trainer")["command"] == [
        "python",
        "-m",
        "tfx.orchestration.kubeflow.v2.container.kubeflow_v2_run_executor",
    ]
    outputs = spec["components"]["Trainer"]["outputDefinitions"]["artifacts"]
    assert outputs["model"]["artifactType"]["instanceSchema"].startswith("title: tfx.Model")


def test_the_experiment_travels_with_the_pods() -> None:
    _, platform = compiled("pediatric", "trainer.epochs=3")
    config = kubernetes(platform, "Trainer")
    assert config["fieldPathAsEnv"] == [
        {"name": "CXR_EXPERIMENT", "fieldPath": "metadata.annotations['cxr/experiment']"}
    ]
    text = json.loads(config["podMetadata"]["annotations"]["cxr/experiment"])
    assert text["config"]["trainer"] == {"epochs": 3}
    assert text["places"]["sources"] == {"pediatric": "/data"}


def test_a_cluster_of_beams_own_is_refused_where_nodes_work_on_copies(tmp_path: Path) -> None:
    config, places = experiment("pediatric")
    flink = config.beam.model_validate({"runner": "flink", "flink": {"master": "[local]"}})
    with pytest.raises(InputError, match=r"beam\.runner=flink: .* its pod's copies"):
        compile_pipeline(
            config.model_copy(update={"beam": flink}),
            places,
            flavour="kubeflow",
            image=IMAGE,
            output=tmp_path / "pipeline.yaml",
        )
