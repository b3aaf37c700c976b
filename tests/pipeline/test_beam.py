"""Which runner a node's Beam work goes to, and the flags that say so."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from apache_beam.options import pipeline_options as options
from apache_beam.options.pipeline_options_validator import PipelineOptionsValidator
from apache_beam.runners import create_runner
from apache_beam.transforms.environments import python_sdk_dependencies
from tfx.utils import dependency_utils

from components.errors import InputError
from pipeline.beam import (
    DISTRIBUTED_NODES,
    THREADED_NODES,
    BeamSettings,
    beam_args,
    require_shared_storage,
)
from pipeline.config import ConfigError, load_config

MINIMAL: dict[str, Any] = {
    "data": {"datasets": {"pediatric": {}}},
    "evaluator": {"min_auc": {"pediatric": 0.9}},
}
SESSION = {"master": "flink-jobmanager:8081", "parallelism": 2}
CLOUD = {
    "project": "my-project",
    "region": "europe-west4",
    "temp_location": "gs://bucket/temp",
    "image": "europe-docker.pkg.dev/p/r/cxr-dataflow:1",
}
RUNNERS: dict[str, dict[str, Any]] = {
    "flink on this machine": {"runner": "flink"},
    "flink session cluster": {"runner": "flink", "flink": SESSION},
    "flink in containers": {
        "runner": "flink",
        "flink": {**SESSION, "environment": "docker", "image": "registry/cxr:1"},
    },
    "flink with processes": {
        "runner": "flink",
        "flink": {
            **SESSION,
            "environment": "process",
            "command": "/opt/apache/beam/boot",
            "variables": {"HOME": "/tmp"},
        },
    },
    "spark on this machine": {"runner": "spark"},
    "spark cluster": {
        "runner": "spark",
        "spark": {"master": "spark://spark:7077", "rest_url": "http://spark:6066"},
    },
    "dataflow": {
        "runner": "dataflow",
        "dataflow": {
            **CLOUD,
            "staging_location": "gs://bucket/staging",
            "machine_type": "n2-standard-4",
            "disk_size_gb": 50,
            "workers": 2,
            "max_workers": 20,
            "service_account": "beam@my-project.iam.gserviceaccount.com",
            "subnetwork": "regions/europe-west4/subnetworks/default",
            "public_ips": False,
        },
    },
}

WORKER = """
import os
from apache_beam.io.filesystems import FileSystems
from apache_beam.runners.worker import sdk_worker_main

sdk_worker_main.create_harness({**os.environ, "CONTROL_API_SERVICE_DESCRIPTOR": ""}, dry_run=True)
for scheme in ("s3", "minio", "hdfs"):
    print(type(FileSystems.get_filesystem(f"{scheme}://bucket/x")).__name__)
"""


def load(folder: Path, beam: dict[str, Any], *overrides: str) -> BeamSettings:
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump({**MINIMAL, "beam": beam}))
    return load_config(str(path), overrides).beam


def parse(beam: dict[str, Any], node: str = "StatisticsGen") -> options.PipelineOptions:
    return options.PipelineOptions(beam_args(BeamSettings.model_validate(beam), node=node))


# --- What is refused when an experiment is loaded ---------------------------------------------


@pytest.mark.parametrize(
    ("beam", "words"),
    [
        ({"runner": "prism"}, "beam.runner: input should be 'direct', 'flink'"),
        ({"runner": "flink", "workers": 4}, "beam.workers: is for beam.runner=direct, not for"),
        ({"flink": {}}, "beam.flink: is for beam.runner=flink, not for direct"),
        ({"runner": "spark", "dataflow": CLOUD}, "beam.dataflow: is for beam.runner=dataflow"),
        ({"runner": "dataflow"}, "beam: runner=dataflow needs beam.dataflow"),
        (
            {"runner": "flink", "flink": {"masters": "x"}},
            "unknown key; did you mean beam.flink.mas",
        ),
        ({"runner": "flink", "flink": {"master": "[auto]"}}, "beam.flink.master: string should"),
        ({"runner": "flink", "flink": {"version": "1.18"}}, "beam.flink.version: input should be"),
        ({"runner": "flink", "flink": {"parallelism": 0}}, "beam.flink.parallelism: input should"),
        (
            {"runner": "flink", "flink": {"worker_pool": "localhost:50000"}},
            "beam.flink: worker_pool is for environment=external, not for loopback",
        ),
        (
            {"runner": "flink", "flink": {**SESSION, "command": "boot"}},
            "beam.flink: command is for environment=process, not for external",
        ),
        (
            {"runner": "flink", "flink": {**SESSION, "environment": "process"}},
            "beam.flink: environment=process needs a command",
        ),
        (
            {"runner": "flink", "flink": {**SESSION, "environment": "loopback"}},
            "beam.flink: environment=loopback is only reached from this machine",
        ),
        ({"runner": "spark", "spark": {"master": "yarn"}}, "beam.spark.master: string should"),
        (
            {"runner": "spark", "spark": {"rest_url": "http://spark:6066"}},
            "beam.spark: rest_url is for a cluster",
        ),
        (
            {"runner": "dataflow", "dataflow": {**CLOUD, "temp_location": "/tmp"}},
            "beam.dataflow.temp_location: string should match pattern",
        ),
        (
            {"runner": "dataflow", "dataflow": {"project": "my-project"}},
            "beam.dataflow.region: is missing",
        ),
        (
            {"runner": "dataflow", "dataflow": {**CLOUD, "workers": 9, "max_workers": 3}},
            "beam.dataflow: workers=9 are more than max_workers=3",
        ),
    ],
)
def test_what_cannot_be_is_named_with_its_key(
    tmp_path: Path, beam: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigError) as error:
        load(tmp_path, beam)
    assert words in str(error.value)


def test_a_runner_is_chosen_on_the_command_line(tmp_path: Path) -> None:
    settings = load(tmp_path, {}, "beam.runner=flink", "beam.flink.master=localhost:8081")
    assert "--flink_master=localhost:8081" in beam_args(settings, node="StatisticsGen")


@pytest.mark.parametrize("beam", RUNNERS.values(), ids=RUNNERS)
def test_what_can_be_loads(tmp_path: Path, beam: dict[str, Any]) -> None:
    assert load(tmp_path, beam) == BeamSettings.model_validate(beam)


# --- What Beam makes of the flags -------------------------------------------------------------


@pytest.mark.parametrize("beam", [{}, *RUNNERS.values()], ids=["direct", *RUNNERS])
@pytest.mark.parametrize("node", sorted(DISTRIBUTED_NODES))
def test_beam_knows_every_flag_and_finds_nothing_wrong(
    beam: dict[str, Any], node: str, caplog: pytest.LogCaptureFixture
) -> None:
    found = parse(beam, node)
    found.get_all_options()
    # tfx_bsl's.
    known = "Discarding unparseable args: ['--tfxio_use_byte_size_batching']"
    assert {record.message for record in caplog.records} == {known}
    # Else it would ask Google for the bucket's properties.
    found.view_as(options.TestOptions).dry_run = True
    runner = create_runner(found.view_as(options.StandardOptions).runner or "DirectRunner")
    assert PipelineOptionsValidator(found, runner).validate() == []


def test_batches_of_films_are_limited_by_their_bytes() -> None:
    from absl import flags
    from tfx_bsl.coders import batch_util

    settings = BeamSettings()
    flags.FLAGS(["node", *beam_args(settings, node="StatisticsGen")], known_only=True)
    limits = batch_util.GetBatchElementsKwargs(None)
    assert limits["max_batch_size"] == 20 * 2**20
    assert limits["element_size_fn"](b"x" * 400_000) == 400_000


@pytest.mark.parametrize(
    ("workers", "node", "mode", "threads"),
    [
        (None, "XrayExampleGen", "multi_threading", 0),
        (3, "GradCamReport", "multi_threading", 3),
        (1, "XrayExampleGen", "in_memory", 1),
        (3, "StatisticsGen", "in_memory", 1),
        (None, "Transform", "in_memory", 1),
    ],
)
def test_threads_of_the_direct_runner(
    workers: int | None, node: str, mode: str, threads: int
) -> None:
    settings = parse({"workers": workers}, node).view_as(options.DirectOptions)
    assert (settings.direct_running_mode, settings.direct_num_workers) == (mode, threads)


@pytest.mark.parametrize("name", [name for name in RUNNERS if not name.startswith("direct")])
def test_small_nodes_stay_where_they_are(name: str) -> None:
    assert parse(RUNNERS[name], "Transform").view_as(options.StandardOptions).runner is None


@pytest.mark.parametrize("beam", RUNNERS.values(), ids=RUNNERS)
def test_workers_take_what_their_image_has(beam: dict[str, Any]) -> None:
    from tfx.utils.dependency_utils import make_beam_dependency_flags

    found = parse(beam)
    assert found.view_as(options.WorkerOptions).sdk_container_image
    assert found.view_as(options.SetupOptions).save_main_session is False
    # Nothing is staged for them, and TFX adds nothing to be installed.
    assert list(python_sdk_dependencies(found)) == []
    rendered = beam_args(BeamSettings.model_validate(beam), node="StatisticsGen")
    assert make_beam_dependency_flags(rendered) == rendered


@pytest.mark.parametrize(
    ("name", "kind", "config"),
    [
        ("flink on this machine", "LOOPBACK", None),
        ("flink session cluster", "EXTERNAL", "localhost:50000"),
        ("flink in containers", "DOCKER", "registry/cxr:1"),
        ("spark on this machine", "LOOPBACK", None),
        ("spark cluster", "EXTERNAL", "localhost:50000"),
    ],
)
def test_how_workers_come_to_be(name: str, kind: str, config: str | None) -> None:
    portable = parse(RUNNERS[name]).view_as(options.PortableOptions)
    assert (portable.environment_type, portable.environment_config) == (kind, config)


def test_processes_are_told_in_json() -> None:
    portable = parse(RUNNERS["flink with processes"]).view_as(options.PortableOptions)
    assert portable.environment_type == "PROCESS"
    assert json.loads(portable.environment_config) == {
        "command": "/opt/apache/beam/boot",
        "env": {"HOME": "/tmp"},
    }


@pytest.mark.parametrize("name", ["flink in containers", "flink with processes"])
def test_workers_that_beam_starts_know_this_projects_stores(name: str) -> None:
    # What its boot program hands to a worker, which is a process that imports nothing else.
    told = parse(RUNNERS[name]).get_all_options(drop_default=True)
    found = subprocess.run(
        [sys.executable, "-c", WORKER],
        env=os.environ | {"PIPELINE_OPTIONS": json.dumps({"beam_plugins": told["beam_plugins"]})},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.split() == ["S3", "Minio", "Hdfs"]


def test_flink_is_told_its_cluster() -> None:
    settings = {**SESSION, "version": "2.1", "job_server_jar": "/jars/server.jar"}
    flink = parse({"runner": "flink", "flink": settings}).view_as(options.FlinkRunnerOptions)
    assert flink.flink_master == "flink-jobmanager:8081"
    assert flink.flink_version == "2.1"
    assert flink.parallelism == 2
    assert flink.flink_job_server_jar == "/jars/server.jar"


def test_spark_is_told_its_cluster() -> None:
    spark = parse(RUNNERS["spark cluster"]).view_as(options.SparkRunnerOptions)
    assert spark.spark_master_url == "spark://spark:7077"
    assert spark.spark_submit_uber_jar is True
    assert spark.spark_rest_url == "http://spark:6066"


def test_dataflow_is_told_its_machines() -> None:
    found = parse(RUNNERS["dataflow"])
    cloud, workers = found.view_as(options.GoogleCloudOptions), found.view_as(options.WorkerOptions)
    assert (cloud.project, cloud.region) == ("my-project", "europe-west4")
    assert cloud.temp_location == "gs://bucket/temp"
    assert cloud.staging_location == "gs://bucket/staging"
    assert cloud.service_account_email == "beam@my-project.iam.gserviceaccount.com"
    assert (workers.num_workers, workers.max_num_workers) == (2, 20)
    assert (workers.machine_type, workers.disk_size_gb) == ("n2-standard-4", 50)
    assert workers.use_public_ips is False
    assert found.view_as(options.DebugOptions).lookup_experiment("use_runner_v2")


# --- Places that the workers do not see -------------------------------------------------------


@pytest.mark.parametrize("name", ["flink session cluster", "spark cluster", "dataflow"])
def test_a_folder_of_this_machine_is_refused(name: str) -> None:
    settings = BeamSettings.model_validate(RUNNERS[name])
    with pytest.raises(InputError, match=rf"beam.runner={settings.runner}: .* not see /runs/nih"):
        require_shared_storage(settings, ["gs://bucket/runs", "/runs/nih"])
    require_shared_storage(settings, ["gs://bucket/runs", "gs://bucket/data"])


@pytest.mark.parametrize("name", [name for name in RUNNERS if name != "dataflow"])
def test_workers_open_every_store(name: str) -> None:
    settings = BeamSettings.model_validate(RUNNERS[name])
    require_shared_storage(settings, ["s3://b/runs", "minio://b/runs", "hdfs://name:8020/x"])


@pytest.mark.parametrize("name", ["flink on this machine", "spark on this machine"])
def test_workers_of_this_process_see_its_folders(name: str) -> None:
    require_shared_storage(BeamSettings.model_validate(RUNNERS[name]), ["s3://bucket/x", "/data"])


def test_dataflow_reads_no_other_bucket() -> None:
    settings = BeamSettings.model_validate(RUNNERS["dataflow"])
    with pytest.raises(InputError, match="s3://bucket/runs: give gs://"):
        require_shared_storage(settings, ["s3://bucket/runs"])


@pytest.mark.parametrize(
    "beam",
    [
        {},
        {"runner": "flink"},
        {"runner": "spark"},
        {"runner": "flink", "flink": {"master": "localhost:8081", "environment": "loopback"}},
        {"runner": "flink", "flink": {**SESSION, "shared_storage": True}},
    ],
)
def test_a_folder_that_workers_see_is_taken(beam: dict[str, Any]) -> None:
    require_shared_storage(BeamSettings.model_validate(beam), ["/runs/nih"])


# --- The pipeline -----------------------------------------------------------------------------


def test_the_pipeline_sends_what_sees_every_film_to_the_cluster(tmp_path: Path) -> None:
    from tfx.dsl.components.base.base_beam_component import BaseBeamComponent

    from pipeline.pipeline import Places, create_pipeline

    config = load_config("nih", ["beam.runner=flink"])
    places = Places(
        pipeline_root=str(tmp_path), serving="", sources={"nih": str(tmp_path)}, fingerprint=""
    )
    nodes = [
        node
        for node in create_pipeline(config, places).components
        if isinstance(node, BaseBeamComponent)
    ]
    sent = {
        node.id
        for node in nodes
        if "--runner=FlinkRunner" in node.executor_spec.beam_pipeline_args  # type: ignore[attr-defined]
    }
    assert sent == {node.id for node in nodes} & DISTRIBUTED_NODES
    assert {node.id for node in nodes} - sent == {"Transform"}
    # What is named is there, but for a node that another setting brings.
    assert DISTRIBUTED_NODES - sent <= {"Embedder"}
    assert THREADED_NODES < DISTRIBUTED_NODES

    away = load_config("nih", ["beam.runner=flink", "beam.flink.master=flink:8081"])
    with pytest.raises(InputError, match=r"beam\.flink\.shared_storage=true"):
        create_pipeline(away, places)


def test_where_a_run_goes_on_does_not_change_what_nodes_are_told(tmp_path: Path) -> None:
    from pipeline.pipeline import Places, create_pipeline

    places = Places(
        pipeline_root=str(tmp_path), serving="", sources={"nih": str(tmp_path)}, fingerprint=""
    )
    # ML Metadata's cache goes by these.
    told = [
        {
            node.id: node.exec_properties
            for node in create_pipeline(load_config("nih", overrides), places).components
        }
        for overrides in (
            ["embedding.enabled=true"],
            ["embedding.enabled=true", "beam.workers=3"],
            ["embedding.enabled=true", "beam.runner=flink"],
        )
    ]
    assert {"Embedder", "EvaluationReport"} <= told[0].keys()
    assert told[1] == told[0]
    assert told[2] == told[0]


@pytest.mark.parametrize("node", ["XrayExampleGen", "Evaluator", "Transform"])
@pytest.mark.parametrize("runner", ["direct", "flink"])
def test_tfx_does_not_pack_itself_for_workers(runner: str, node: str) -> None:
    flags = beam_args(BeamSettings.model_validate({"runner": runner}), node=node)
    assert dependency_utils.make_beam_dependency_flags(flags) == flags
