"""A container's entry point, in this process and in one of its own."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from components.disclaimer import DISCLAIMER
from components.errors import InputError, find_mistake
from pipeline.runners.kubeflow import launch

RUN = "minio://bucket/v2/cxr-pediatric/run1"
SCHEMA = {"artifacts": {"schema": {"artifactType": {"instanceSchema": "title: tfx.Schema\n"}}}}
TEXT = {"parameters": {"text": {"parameterType": "STRING"}}}
EXECUTOR = "components.data_gate.schema.CuratedSchema_Executor"


class Pod:
    """Arguments of a container, and its folders."""

    def __init__(self, folder: Path, executor: str = EXECUTOR):
        self.folder = folder
        self.output_file = folder / "kfp_outputs/output_metadata.json"
        self.output = folder / "minio/bucket/v2/cxr-pediatric/run1/CuratedSchema/u1/schema"
        self.output_file.parent.mkdir(parents=True)
        # KFP makes the parent alone.
        self.output.parent.mkdir(parents=True)
        self.executor = executor

    def run(self, **parameters: str) -> int:
        uri = f"{RUN}/CuratedSchema/u1/schema"
        task = {
            "inputs": {"parameterValues": {"text": "feature {}", **parameters}},
            "outputs": {
                "artifacts": {
                    "schema": {"artifacts": [{"uri": uri, "type": {"schemaTitle": "system.X"}}]},
                    "executor-logs": {"artifacts": [{"uri": f"{RUN}/CuratedSchema/u1/logs"}]},
                },
                "outputFile": str(self.output_file),
            },
        }
        return launch.main(
            launch.parse(
                [
                    "launch", "--node", "CuratedSchema",
                    "--executor_class_path", self.executor,
                    "--json_serialized_invocation_args", json.dumps(task),
                    "--json_serialized_inputs_spec_args", json.dumps(TEXT),
                    "--json_serialized_outputs_spec_args", json.dumps(SCHEMA),
                    "--direct_num_workers=1",
                ]
            )
        )  # fmt: skip


@pytest.fixture
def pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pod:
    monkeypatch.setenv(launch.MOUNTS, str(tmp_path))
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    return Pod(tmp_path)


def test_an_executor_works_on_local_copies_and_kfp_is_told_of_uris(pod: Pod) -> None:
    assert pod.run() == 0

    assert [file.name for file in pod.output.iterdir()] == ["schema.pbtxt"]
    output = json_format.Parse(pod.output_file.read_text(), pipeline_spec_pb2.ExecutorOutput())
    (artifact,) = output.artifacts["schema"].artifacts
    assert artifact.uri == f"{RUN}/CuratedSchema/u1/schema"
    assert set(output.artifacts) == {"schema"}
    assert [file.name for file in pod.output_file.parent.glob("*.json*")] == [pod.output_file.name]


def test_what_an_earlier_attempt_left_is_gone(pod: Pod) -> None:
    pod.output.mkdir()
    (pod.output / "half.txt").write_text("x")
    # TFX would take it for a driver's, and read exec properties from it.
    pod.output_file.write_text("{ half")

    assert pod.run() == 0

    assert not (pod.output / "half.txt").exists()
    json.loads(pod.output_file.read_text())


def test_a_mistake_is_told_in_one_message(pod: Pod, capfd: pytest.CaptureFixture[str]) -> None:
    # No pod has this experiment.
    assert pod.run(cxr_overrides="trainer.epochs=2") == launch.EXIT_INPUT

    told = capfd.readouterr().err
    assert "CuratedSchema: this pod has no experiment: submit the whole file" in told
    assert DISCLAIMER in told
    assert "Traceback" not in told
    assert not pod.output_file.exists()


def test_a_bug_is_told_with_its_traceback(pod: Pod, capfd: pytest.CaptureFixture[str]) -> None:
    pod.executor = "components.data_gate.schema.NoSuchExecutor"

    assert pod.run() == launch.EXIT_FAILURE

    told = capfd.readouterr().err
    assert "Traceback" in told
    assert "NoSuchExecutor" in told.splitlines()[-3]
    assert not pod.output_file.exists()


def test_a_mistake_is_found_behind_what_wrapped_it() -> None:
    def fail() -> None:
        try:
            raise InputError("labels.csv: no such column")
        except InputError as error:
            raise RuntimeError("while running step") from error

    with pytest.raises(RuntimeError) as caught:
        fail()

    assert str(find_mistake(caught.value)) == "labels.csv: no such column"
    assert find_mistake(ValueError("x")) is None


def test_arguments_that_are_not_its_own_are_beams() -> None:
    parsed, beam_args = launch.parse(
        [
            "launch", "--node", "X", "--executor_class_path", "a.B",
            "--json_serialized_invocation_args", "{}",
            "--json_serialized_outputs_spec_args", "{}",
            "--direct_running_mode=in_memory", "--no", "x",
        ]
    )  # fmt: skip
    assert isinstance(parsed, argparse.Namespace)
    assert beam_args == ["--direct_running_mode=in_memory", "--no", "x"]
