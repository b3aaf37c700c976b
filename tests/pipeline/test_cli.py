"""The `cxr` command before it does any work."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from pipeline.cli import cli
from pipeline.config import experiment_names

HEAVY = ("tfx", "tensorflow", "apache_beam", "pandas", "numpy", "keras")


@pytest.mark.parametrize("arguments", [["--help"], ["predict", "--help"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    script = (
        "import sys\nfrom pipeline.cli import cli\n"
        f"cli({arguments!r}, standalone_mode=False)\n"
        f"print('HEAVY', [name for name in {HEAVY!r} if name in sys.modules])"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert ended.stdout.strip().endswith("HEAVY []")


@pytest.mark.parametrize("command", ["run", "data", "predict", "compile", "submit"])
def test_every_command_has_help(command: str) -> None:
    result = CliRunner().invoke(cli, [command, "--help"])
    assert result.exit_code == 0, result.output
    assert "Usage:" in result.output


def test_the_disclaimer_stands_in_the_help() -> None:
    assert "not a diagnostic device" in " ".join(CliRunner().invoke(cli, ["--help"]).output.split())


@pytest.mark.parametrize("experiment", experiment_names())
def test_every_experiment_compiles_for_kubeflow(experiment: str, tmp_path: Path) -> None:
    output = tmp_path / "pipeline.yaml"
    places = ["--image", "registry/cxr:1", "--pipeline-root", "s3://bucket/cxr"]
    claim = ["--set", "kubeflow.volumes=[{claim: x-rays, path: /data}]"]
    result = CliRunner().invoke(cli, ["compile", experiment, *places, *claim, "-o", str(output)])
    assert result.exit_code == 0, result.output
    pipeline, _ = yaml.safe_load_all(output.read_text())
    assert pipeline["pipelineInfo"]["name"] == f"cxr-{experiment.replace('_', '-')}"
    tasks = pipeline["components"]["tfx-dag"]["dag"]["tasks"]
    assert set(tasks["Pusher"]["dependentTasks"]) == {"Trainer", "ModelGate", "InfraCanary"}
    executors = pipeline["deploymentSpec"]["executors"].values()
    # Nothing but containers: open-source Kubeflow refuses resolvers.
    assert {one["container"]["image"] for one in executors} == {"registry/cxr:1"}
    whole = ("pediatric", "nih_multilabel")
    balanced = {"UnsampledEvaluator"} if experiment not in whole else set()
    crossed = {"CrossDatasetMatrix"} if experiment in ("both", "demo") else set()
    assert set(tasks) == balanced | crossed | {
        "XrayExampleGen", "CuratedSchema", "StatisticsGen", "ExampleValidator", "DataReport",
        "DataGate", "Transform", "Trainer", "Scorer", "Evaluator", "ValidationEvaluator",
        "BaselineProbe", "ExplanationProbe", "ModelGate", "GradCamReport", "EvaluationReport",
        "InfraCanary",
        "Pusher", "Verdict",
    }  # fmt: skip
    assert "DataGate" in tasks["Transform"]["dependentTasks"]
