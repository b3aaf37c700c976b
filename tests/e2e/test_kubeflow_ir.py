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
# Small images and few of them: what is tested is the pipeline, not the classifier.
SMALL = (
    "transform.image_size=64",
    "trainer.weights=none",
    "trainer.epochs=2",
    "grad_cam.cases=4",
    "baseline_probe.enabled=false",
    "explanation_probe.enabled=false",
    # Whether so small a model is any good is left to chance.
    "evaluator.min_auc={pediatric: 0.01}",
    "evaluator.min_sensitivity={}",
    "evaluator.max_ece={}",
    "evaluator.min_lift={}",
    "evaluator.min_images_per_class=1",
    "kubeflow.defaults.retries.count=1",
)
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
    synthesize("pediatric", images=140, out=folder / "data", seed=3)
    config = load_config("pediatric", SMALL)
    places = places_on_cluster(
        config,
        # A claim that is mounted.
        data_root=str(folder / "data/chest_xray"),
        pipeline_root=ROOT,
        serving_root=str(folder / "serving"),
        fingerprint="of-140-films",
    )
    compiled = folder / "pipeline.yaml"
    compile_pipeline(config, places, flavour="kubeflow", image="cxr:1", output=compiled)
    (folder / "store/bucket").mkdir(parents=True)
    with serve_s3(folder / "store") as endpoint:
        environment = {
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ACCESS_KEY_ID": "anyone",
            "AWS_SECRET_ACCESS_KEY": "any",
        }
        yield Site(
            Cluster(folder, pipeline_root=ROOT, environment=environment),
            load(compiled),
            folder / "serving/cxr",
        )


@pytest.fixture(scope="module")
def first_run(site: Site) -> Run:
    """A run with an empty cache, in which a container is killed once."""
    run = site.cluster.run(site.package, killed={"CuratedSchema": 1})
    logs = {name: run.tasks[name].log[-2000:] for name in run.by_state(FAILED)}
    assert run.state == COMPLETE, "\n".join(f"{name}:\n{log}" for name, log in logs.items())
    return run


def test_every_node_runs_to_a_pushed_model(site: Site, first_run: Run) -> None:
    nodes = set(site.package.component("tfx-dag")["dag"]["tasks"])
    assert first_run.by_state(COMPLETE) == nodes | {"ReportVerdict"}
    assert {
        "ModelGate", "GradCamReport", "EvaluationReport", "InfraCanary", "Pusher", "Verdict",
    } <= nodes  # fmt: skip

    (version,) = [path for path in site.serving.iterdir() if path.name.isdigit()]
    assert (version / "saved_model.pb").is_file()
    assert (version / "assets.extra/model_contract.json").is_file()


def test_the_verdict_is_reported_with_the_version(site: Site, first_run: Run) -> None:
    text = site.read(first_run, "ReportVerdict", "report", "verdict.md")

    (version,) = [path for path in site.serving.iterdir() if path.name.isdigit()]
    assert f"**cxr-pediatric**, run `{first_run.id}`: done." in text
    assert f"**blessed**, and pushed as version {version.name} (stable) to `{version}`" in text
    assert DISCLAIMER in text
    assert text in first_run.tasks["ReportVerdict"].log


def test_artifacts_keep_no_path_of_a_pod(site: Site, first_run: Run) -> None:
    told = {
        f"{name}.{key}": json.dumps([artifact.uri, artifact.metadata])
        for name, task in first_run.tasks.items()
        for key, artifact in task.artifacts.items()
    }
    assert [where for where, text in told.items() if "/pods/" in text] == []


def test_a_container_that_was_killed_is_tried_again(first_run: Run) -> None:
    assert first_run.tasks["CuratedSchema"].attempts == 2
    others = [task.attempts for name, task in first_run.tasks.items() if name != "CuratedSchema"]
    assert set(others) == {1}


def test_a_second_run_takes_everything_from_the_cache(site: Site, first_run: Run) -> None:
    again = site.cluster.run(site.package)

    assert again.state == COMPLETE
    assert again.by_state(COMPLETE) == NEVER_CACHED
    assert again.by_state(CACHED) == set(first_run.tasks) - NEVER_CACHED
    text = site.read(again, "ReportVerdict", "report", "verdict.md")
    assert f"run `{again.id}`" in text
    assert "had been pushed by an earlier run" in text
    assert "the judgement is that of an earlier run" in text.lower()


def test_a_run_can_override_settings_of_the_experiment(site: Site, first_run: Run) -> None:
    # Of the other nodes nothing is asked here.
    known = {name: task for name, task in first_run.tasks.items() if name != "GradCamReport"}

    run = site.cluster.run(site.package, {"overrides": "grad_cam.cases=2"}, known=known)

    assert run.tasks["GradCamReport"].state == COMPLETE, run.tasks["GradCamReport"].log[-2000:]
    shown = [
        len(json.loads(site.read(one, "GradCamReport", "report", "cases.json"))["cases"])
        for one in (first_run, run)
    ]
    assert shown == [4, 2]


def test_a_run_that_fails_says_where_and_why(site: Site, first_run: Run) -> None:
    known = {"CuratedSchema": first_run.tasks["CuratedSchema"]}

    elsewhere = {"data_root": "/no/such/claim", "data_fingerprint": "of-nothing"}
    run = site.cluster.run(site.package, elsewhere, known=known)

    assert run.state == FAILED
    assert run.by_state(FAILED) == {"XrayExampleGen"}
    assert run.tasks["XrayExampleGen"].attempts == 2
    assert set(run.tasks) == {"XrayExampleGen", "CuratedSchema", "ReportVerdict"}
    told = run.tasks["XrayExampleGen"].log
    assert "Traceback" not in told
    text = site.read(run, "ReportVerdict", "report", "verdict.md")
    assert f"run `{run.id}`: failed in XrayExampleGen." in text
    assert "- XrayExampleGen: " in text
    assert "/no/such/claim" in text
    assert "blessed" not in text
