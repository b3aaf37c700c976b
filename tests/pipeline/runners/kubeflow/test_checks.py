"""What open-source Kubeflow would find when it is too late, found before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pipeline.runners.kubeflow.checks import NotRunnableError, check
from tests.pipeline.runners.kubeflow.compiled import compiled, executor, inner_tasks, kubernetes

Document = dict[str, Any]


def task_of(spec: Document, node: str = "Trainer") -> Document:
    return inner_tasks(spec)[node]


def rename_pipeline(spec: Document, platform: Document) -> None:
    spec["pipelineInfo"]["name"] = "cxr_pediatric"


def rename_task(spec: Document, platform: Document) -> None:
    spec["root"]["dag"]["tasks"]["report_verdict"] = spec["root"]["dag"]["tasks"].pop(
        "ReportVerdict"
    )


def use_a_resolver(spec: Document, platform: Document) -> None:
    spec["deploymentSpec"]["executors"]["Trainer_executor"] = {"resolver": {}}


def lose_the_class(spec: Document, platform: Document) -> None:
    args = executor(spec, "Trainer")["args"]
    args[args.index("--executor_class_path") + 1] = "components.trainer.gone.Executor"


def share_a_container(spec: Document, platform: Document) -> None:
    executors = spec["deploymentSpec"]["executors"]
    executors["ValidationEvaluator_executor"] = executors["Evaluator_executor"]


def lose_the_producer(spec: Document, platform: Document) -> None:
    artifacts = task_of(spec)["inputs"]["artifacts"]
    artifacts["examples"]["taskOutputArtifact"]["producerTask"] = "LastBlessed"


def lose_the_output(spec: Document, platform: Document) -> None:
    artifacts = task_of(spec)["inputs"]["artifacts"]
    artifacts["examples"]["taskOutputArtifact"]["outputArtifactKey"] = "example"


def wait_for_nobody(spec: Document, platform: Document) -> None:
    task_of(spec)["dependentTasks"].append("Gone")


def take_a_dynamic_parameter(spec: Document, platform: Document) -> None:
    # As TFX writes `.future()`.
    task_of(spec)["inputs"]["parameters"]["run_fn"] = {
        "taskOutputParameter": {"producerTask": "Transform_task", "outputParameterKey": "x"}
    }


def forget_the_inner_dag(spec: Document, platform: Document) -> None:
    del spec["components"]["tfx-dag"]["inputDefinitions"]


def forget_a_default(spec: Document, platform: Document) -> None:
    del spec["root"]["inputDefinitions"]["parameters"]["train_steps"]["defaultValue"]


def forget_a_parameter(spec: Document, platform: Document) -> None:
    del task_of(spec)["inputs"]["parameters"]["run_fn"]


def write_the_old_schema(spec: Document, platform: Document) -> None:
    task_of(spec)["inputs"]["parameters"]["run_fn"] = {
        "runtimeValue": {"constantValue": {"stringValue": "a"}}
    }


def write_a_placeholder(spec: Document, platform: Document) -> None:
    task_of(spec)["inputs"]["parameters"]["run_fn"] = {
        "runtimeValue": {"constant": "{{workflow.name}}"}
    }


def pass_a_placeholder(spec: Document, platform: Document) -> None:
    executor(spec, "Trainer")["args"].append("--name={{workflow.name}}")


def keep_a_schema(spec: Document, platform: Document) -> None:
    outputs = spec["components"]["Trainer"]["outputDefinitions"]["artifacts"]
    outputs["model"]["artifactType"] = {"instanceSchema": "title: tfx.Model\n"}


def lose_the_types(spec: Document, platform: Document) -> None:
    args = executor(spec, "Trainer")["args"]
    del args[2:4]


def write_a_novel(spec: Document, platform: Document) -> None:
    task_of(spec)["inputs"]["parameters"]["run_fn"]["runtimeValue"]["constant"] = "x" * 110_000


def write_a_library(spec: Document, platform: Document) -> None:
    for task in inner_tasks(spec).values():
        task.setdefault("inputs", {}).setdefault("parameters", {})["code"] = {
            "runtimeValue": {"constant": "x" * 90_000}
        }


def annotate_at_length(spec: Document, platform: Document) -> None:
    metadata = kubernetes(platform, "Trainer")["podMetadata"]
    metadata["annotations"]["cxr/experiment"] = "x" * 250_000


def annotate_a_placeholder(spec: Document, platform: Document) -> None:
    metadata = kubernetes(platform, "Trainer")["podMetadata"]
    metadata["annotations"]["cxr/experiment"] = '{"config": "{{inputs}}"}'


def test_what_was_compiled_is_fine() -> None:
    check(*compiled("both"))


def test_what_the_driver_fills_in_is_fine() -> None:
    spec, platform = compiled("pediatric")
    task_of(spec)["inputs"]["parameters"]["run_fn"]["runtimeValue"]["constant"] = (
        "{{$.pipeline_job_uuid}}"
    )
    check(spec, platform)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (rename_pipeline, "pipeline 'cxr_pediatric': not lower-case"),
        (rename_task, "node 'report_verdict': not letters"),
        (use_a_resolver, "Trainer: is run by resolver"),
        (lose_the_class, r"Trainer: no class components\.trainer\.gone\.Executor"),
        (share_a_container, "container is that of"),
        (lose_the_producer, "tfx-dag/Trainer: input examples: no task LastBlessed"),
        (lose_the_output, "tfx-dag/Trainer: input examples: XrayExampleGen has no output example"),
        (wait_for_nobody, "tfx-dag/Trainer: waits for Gone"),
        (take_a_dynamic_parameter, "parameter run_fn: no task Transform_task"),
        (forget_the_inner_dag, "parameter cxr_train_steps: tfx-dag has no parameter train_steps"),
        (forget_a_default, "parameter train_steps: has no default"),
        (forget_a_parameter, "tfx-dag/Trainer: parameter run_fn: is not given"),
        (write_the_old_schema, r"run_fn: is no constant of schema 2\.1"),
        (write_a_placeholder, r"parameter run_fn: has '\{\{' in it"),
        (pass_a_placeholder, "Trainer: an argument has"),
        (keep_a_schema, r"Trainer: model: is typed by a schema, not system\.\*"),
        (lose_the_types, "Trainer: the types of its outputs are not among"),
        (write_a_novel, r"tfx-dag/Trainer: 11\d,\d+ bytes of inputs"),
        (write_a_library, r"1,\d+,\d+ bytes in all"),
        (annotate_at_length, r"Trainer_executor: 250,\d+ bytes of annotations"),
        (annotate_a_placeholder, "Trainer_executor: annotation cxr/experiment has"),
    ],
)
def test_what_kubeflow_would_not_run_is_told(
    spoil: Callable[[Document, Document], None], message: str
) -> None:
    spec, platform = compiled("pediatric")
    spoil(spec, platform)
    with pytest.raises(NotRunnableError, match=message):
        check(spec, platform)
