"""The compiled pipeline is executed: from the YAML to a pushed model and a reported verdict.

Each node runs by its own command line in a process of its own, see tests/kubeflow_driver.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.disclaimer import DISCLAIMER
from components.example_gen.synthetic.layouts import synthesize
from pipeline.config import load_config
from pipeline.runners.kubeflow.build import places_on_cluster
from pipeline.runners.kubeflow.compiler import compile_pipeline
from tests.kubeflow_driver.documents import Package, load
from tests.kubeflow_driver.engine import CACHED, COMPLETE, FAILED, Cluster, Run
from tests.kubeflow_driver.launching import SCHEME
from tests.kubeflow_driver.s3_server import serve_s3

pytestmark = pytest.mark.slow

ROOT = "minio://bucket/v2"
IMAGES = {"pediatric": 70, "nih": 130}
# All nodes that there are, each as small as it gets.
SMALL = (
    "data_gate.on_failure=warn",
    "transform.image_size=64",
    "embedding.enabled=true",
    "tuner={enabled: true, trials: 1, units: [8]}",
    "trainer.weights=none",
    "trainer.precision=float32",
    "trainer.epochs=2",
    "explanation_probe.max_films=6",
    "explanation_probe.faithfulness_films=2",
    "explanation_probe.sanity_films=2",
    "robustness={enabled: true, severities: 1, max_images: 4}",
    "grad_cam.cases=2",
    # Whether so small a model is any good is left to chance.
    "evaluator.min_auc={pediatric: 0.01, nih: 0.01}",
    "evaluator.min_images_per_class=1",
    "evaluator.report_only=true",
    "kubeflow.defaults.retries.count=0",
    "kubeflow.nodes.Pusher.retries.count=1",
    "kubeflow.secrets=[{name: s3-credentials, env: "
    "{AWS_ACCESS_KEY_ID: accesskey, AWS_SECRET_ACCESS_KEY: secretkey}}]",
)
SECRETS = {"s3-credentials": {"accesskey": "anyone", "secretkey": "any"}}
# They say how this very run ended.
NEVER_CACHED = {"Verdict", "ReportVerdict"}


@dataclasses.dataclass(frozen=True)
class Site:
    """Where a pipeline was compiled for.

    Attributes:
      cluster: that runs it.
      package: the pipeline.
      serving: the folder of the model's versions.
    """

    cluster: Cluster
    package: Package
    serving: Path

    def read(self, run: Run, task: str, output: str, file: str) -> str:
        """A file of an output, from the object store."""
        uri = run.tasks[task].artifacts[output].uri
        return (self.cluster.store / uri.removeprefix(SCHEME) / file).read_text()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("kubeflow")
    for dataset, images in IMAGES.items():
        synthesize(dataset, images=images, out=folder / "data", seed=3)
    (folder / "store/bucket").mkdir(parents=True)
    with serve_s3(folder / "store") as endpoint:
        reached = f"kubeflow.env.AWS_ENDPOINT_URL={endpoint}"
        # What a driver of processes has for a mount.
        claim = f"kubeflow.volumes=[{{claim: x-rays, path: {folder}}}]"
        config = load_config("both", [*SMALL, reached, claim])
        places = places_on_cluster(
            config,
            data_root=str(folder / "data"),
            pipeline_root=ROOT,
            serving_root=str(folder / "serving"),
            fingerprint="of-200-films",
        )
        compiled = folder / "pipeline.yaml"
        compile_pipeline(config, places, flavour="kubeflow", image="cxr:1", output=compiled)
        yield Site(
            Cluster(folder, pipeline_root=ROOT, secrets=SECRETS),
            load(compiled),
            folder / "serving/cxr",
        )


@pytest.fixture(scope="module")
def broken_run(site: Site) -> Run:
    """A run with an empty cache, whose Trainer is killed while it writes, and not tried again."""
    return site.cluster.run(site.package, killed={"Trainer": 1})


@pytest.fixture(scope="module")
def whole_run(site: Site, broken_run: Run) -> Run:
    """The run after that, to its end, though its Pusher is killed once while it writes."""
    run = site.cluster.run(site.package, killed={"Pusher": 1})
    logs = {name: run.tasks[name].log[-2000:] for name in run.by_state(FAILED)}
    assert run.state == COMPLETE, "\n".join(f"{name}:\n{log}" for name, log in logs.items())
    return run


def test_a_node_that_is_killed_fails_the_run(site: Site, broken_run: Run) -> None:
    logs = {name: task.log[-2000:] for name, task in broken_run.tasks.items()}
    assert broken_run.by_state(FAILED) == {"Trainer"}, logs
    assert list(site.cluster.store.rglob(f"*/{broken_run.id}/Embedder"))
    assert not list(site.cluster.store.rglob(f"*/{broken_run.id}/Trainer"))
    text = site.read(broken_run, "ReportVerdict", "report", "verdict.md")
    assert f"run `{broken_run.id}`: failed." in text
    assert "may have been killed" in text
    assert not site.serving.exists()


def test_the_run_after_it_does_what_was_not_complete(broken_run: Run, whole_run: Run) -> None:
    complete = broken_run.by_state(COMPLETE) - NEVER_CACHED
    assert {"XrayExampleGen", "Transform", "Embedder", "Tuner"} <= complete
    assert whole_run.by_state(CACHED) == complete
    assert whole_run.by_state(COMPLETE) == set(whole_run.tasks) - complete


def test_every_node_runs_to_a_pushed_model(site: Site, whole_run: Run) -> None:
    nodes = set(site.package.component("tfx-dag")["dag"]["tasks"])
    assert set(whole_run.tasks) == nodes | {"ReportVerdict"}
    assert {
        "Embedder", "Tuner", "UnsampledEvaluator", "BaselineProbe", "ExplanationProbe",
        "CrossDatasetMatrix", "Robustness", "ModelGate", "GradCamReport", "EvaluationReport",
        "InfraCanary", "Pusher", "Verdict",
    } <= nodes  # fmt: skip

    (version,) = [path for path in site.serving.iterdir() if path.name.isdigit()]
    assert (version / "saved_model.pb").is_file()
    assert (version / "assets.extra/model_contract.json").is_file()


def test_the_verdict_is_reported_with_the_version(site: Site, whole_run: Run) -> None:
    text = site.read(whole_run, "ReportVerdict", "report", "verdict.md")

    (version,) = [path for path in site.serving.iterdir() if path.name.isdigit()]
    assert f"**cxr-both**, run `{whole_run.id}`: done." in text
    assert f"**blessed**, and pushed as version {version.name} (stable) to `{version}`" in text
    assert "Nothing was compared with earlier runs" in text
    assert DISCLAIMER in text
    assert text in whole_run.tasks["ReportVerdict"].log


def test_artifacts_keep_no_path_of_a_pod(site: Site, whole_run: Run) -> None:
    told = {
        f"{name}.{key}": json.dumps([artifact.uri, artifact.metadata])
        for name, task in whole_run.tasks.items()
        for key, artifact in task.artifacts.items()
    }
    assert [where for where, text in told.items() if "/pods/" in text] == []


def test_a_container_that_was_killed_is_tried_again(site: Site, whole_run: Run) -> None:
    ran = {name: whole_run.tasks[name].attempts for name in whole_run.by_state(COMPLETE)}
    # It had published the version already, and did not publish another one.
    assert ran.pop("Pusher") == 2
    assert len([path for path in site.serving.iterdir() if path.name.isdigit()]) == 1
    assert set(ran.values()) == {1}


def test_a_second_run_takes_everything_from_the_cache(site: Site, whole_run: Run) -> None:
    again = site.cluster.run(site.package)

    assert again.state == COMPLETE
    assert again.by_state(COMPLETE) == NEVER_CACHED
    assert again.by_state(CACHED) == set(whole_run.tasks) - NEVER_CACHED
    text = site.read(again, "ReportVerdict", "report", "verdict.md")
    assert f"run `{again.id}`" in text
    assert "had been pushed by an earlier run" in text
    assert "the judgement is that of an earlier run" in text.lower()


def test_a_run_can_override_settings_of_the_experiment(site: Site, whole_run: Run) -> None:
    # Of the other nodes nothing is asked here.
    known = {name: task for name, task in whole_run.tasks.items() if name != "GradCamReport"}

    run = site.cluster.run(site.package, {"overrides": "grad_cam.cases=1"}, known=known)

    assert run.tasks["GradCamReport"].state == COMPLETE, run.tasks["GradCamReport"].log[-2000:]
    shown = [
        len(json.loads(site.read(one, "GradCamReport", "report", "cases.json"))["cases"])
        for one in (whole_run, run)
    ]
    assert shown == [2, 1]


def test_a_run_with_another_root_pushes_where_it_is_told_to(
    site: Site, whole_run: Run, tmp_path: Path
) -> None:
    anew = {"Pusher", "ReportVerdict"}
    known = {name: task for name, task in whole_run.tasks.items() if name not in anew}
    before = sorted(site.serving.rglob("*"))
    # Else its push would be that of the cache.
    pushed_anew = {"overrides": "pusher.keep=7"}
    other_root = "minio://bucket/tests"

    refused = site.cluster.run(site.package, pushed_anew, pipeline_root=other_root, known=known)

    assert refused.by_state(FAILED) == {"Pusher"}
    assert "Traceback" not in refused.tasks["Pusher"].log
    text = site.read(refused, "ReportVerdict", "report", "verdict.md")
    assert f"the pipeline root of this run is {other_root}" in text
    assert "parameter serving_root" in text

    run = site.cluster.run(
        site.package,
        pushed_anew | {"serving_root": str(tmp_path)},
        pipeline_root=other_root,
        known=known,
    )

    assert run.tasks["Pusher"].state == COMPLETE, run.tasks["Pusher"].log[-2000:]
    assert list(tmp_path.glob("cxr/*/saved_model.pb"))
    assert sorted(site.serving.rglob("*")) == before


def test_a_run_that_fails_says_where_and_why(site: Site, whole_run: Run) -> None:
    known = {"CuratedSchema": whole_run.tasks["CuratedSchema"]}

    elsewhere = {"data_root": "/no/such/claim", "data_fingerprint": "of-nothing"}
    run = site.cluster.run(site.package, elsewhere, known=known)

    assert run.state == FAILED
    assert run.by_state(FAILED) == {"XrayExampleGen"}
    assert set(run.tasks) == {"XrayExampleGen", "CuratedSchema", "ReportVerdict"}
    told = run.tasks["XrayExampleGen"].log
    assert "Traceback" not in told
    text = site.read(run, "ReportVerdict", "report", "verdict.md")
    assert f"run `{run.id}`: failed in XrayExampleGen." in text
    assert "- XrayExampleGen: " in text
    assert "/no/such/claim" in text
    assert "blessed" not in text
