"""KFP's JSON made into TFX's, and back."""

from __future__ import annotations

import pytest

from pipeline.runners.kubeflow.invocation import globalize, local_path, localize

EXAMPLES = {"instanceSchema": "title: tfx.Examples\ntype: object\n"}
MODEL = {"instanceSchema": "title: tfx.Model\ntype: object\n"}
INPUTS = {"artifacts": {"examples": {"artifactType": EXAMPLES}}}
OUTPUTS = {"artifacts": {"model": {"artifactType": MODEL}}}
UNTYPED = {"instanceSchema": ""}
SYSTEM = {"schemaTitle": "system.Model", "schemaVersion": "0.0.1"}
RUN = "minio://bucket/v2/cxr-pediatric/run1"


def make_task() -> dict:
    examples = {
        "name": "17",
        "uri": f"{RUN}/XrayExampleGen/u1/examples",
        "type": UNTYPED,
        "metadata": {
            "split_names": '["train"]',
            "blessed": {"struct": {"train": 1.0}},
            "files": {"list": [1.0, 2.0]},
            "span": 0.0,
        },
    }
    return {
        "inputs": {
            "parameterValues": {"code": "c0ffee"},
            "artifacts": {"examples": {"artifacts": [examples]}},
        },
        "outputs": {
            "artifacts": {
                "model": {"artifacts": [{"uri": f"{RUN}/Trainer/u2/model", "type": SYSTEM}]},
                "executor-logs": {"artifacts": [{"uri": f"{RUN}/Trainer/u2/executor-logs"}]},
            },
            "outputFile": "/tmp/kfp_outputs/output_metadata.json",
        },
    }


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("gs://bucket/a", "/gcs/bucket/a"),
        ("s3://bucket/a", "/s3/bucket/a"),
        ("minio://bucket/a", "/minio/bucket/a"),
        ("/mounted/a", "/mounted/a"),
        ("hdfs://host/a", "hdfs://host/a"),
    ],
)
def test_local_copies_are_where_the_launcher_of_kfp_has_them(uri: str, path: str) -> None:
    assert local_path(uri) == path


def test_artifacts_get_the_types_that_they_were_compiled_with_and_local_paths() -> None:
    local = localize(make_task(), INPUTS, OUTPUTS, mounts="/x")

    (examples,) = local.executor_input["inputs"]["artifacts"]["examples"]["artifacts"]
    assert examples["type"] == EXAMPLES
    assert examples["name"] == "17"
    assert examples["uri"] == "/x/minio/bucket/v2/cxr-pediatric/run1/XrayExampleGen/u1/examples"
    (model,) = local.executor_input["outputs"]["artifacts"]["model"]["artifacts"]
    assert model["type"] == MODEL
    assert local.outputs == (model["uri"],)
    assert local.inputs == (examples["uri"],)
    assert local.uris[model["uri"]] == f"{RUN}/Trainer/u2/model"


def test_what_ml_metadata_wrapped_is_unwrapped() -> None:
    local = localize(make_task(), INPUTS, OUTPUTS)

    (examples,) = local.executor_input["inputs"]["artifacts"]["examples"]["artifacts"]
    assert examples["metadata"] == {
        "split_names": '["train"]',
        "blessed": {"train": 1.0},
        "files": [1.0, 2.0],
        "span": 0.0,
    }


def test_outputs_that_the_component_does_not_have_are_left_out() -> None:
    local = localize(make_task(), INPUTS, OUTPUTS)

    assert set(local.executor_input["outputs"]["artifacts"]) == {"model"}


def test_the_task_itself_stays_as_it_was() -> None:
    task = make_task()
    localize(task, INPUTS, OUTPUTS)
    assert task == make_task()


def test_uris_take_the_place_of_paths_in_outputs_and_in_their_properties() -> None:
    local = localize(make_task(), INPUTS, OUTPUTS)
    path = local.outputs[0]
    written = {
        "uri": path,
        "metadata": {
            "current_model": f"{path}/Format-Serving",
            "beside": f"{path}-2",
            "all": {"first": [path, 1.0]},
            "pushed": 1.0,
            "nothing": None,
        },
    }

    output = globalize({"artifacts": {"model": {"artifacts": [written]}}}, local.uris)

    uri = f"{RUN}/Trainer/u2/model"
    assert output["artifacts"]["model"]["artifacts"] == [
        {
            "uri": uri,
            "metadata": {
                "current_model": f"{uri}/Format-Serving",
                "beside": f"{path}-2",
                "all": {"first": [uri, 1.0]},
                "pushed": 1.0,
            },
        }
    ]
