"""The summary of a run: for people as a page of text, for scripts as `summary.json`."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from tfx.dsl.io import fileio
from tfx.utils import io_utils, path_utils

from components import storage
from components.data_gate.executor import HTML_FILE, INDEX_FILE
from components.evaluator import results
from components.evaluator.judgement import read_judgement
from components.example_gen import report as ingest
from components.grad_cam.executor import HTML_FILE as CASES_PAGE
from components.infra_canary.executor import read_trial
from components.pusher import remote
from components.report.executor import CARD_PAGE, TFMA_FILE
from components.report.executor import HTML_FILE as REPORT
from components.trainer.contract_file import CONTRACT, KERAS_FOLDER
from pipeline.config import Config
from pipeline.last_blessed import BLESSING_NODE
from pipeline.pipeline import PACKAGES, UNSAMPLED_EVALUATOR
from pipeline.run_record import NodeRecord, Output
from serving.versions import ModelFolder

Slices: TypeAlias = Sequence[results.SliceResult] | Sequence[results.MultiLabelResult]

BLESSED, REFUSED = "blessed", "refused"


def summarize(
    config: Config,
    nodes: Mapping[str, NodeRecord],
    *,
    seconds: Mapping[str, float],
    run_folder: Path,
    example_image: str,
    log: Path,
) -> dict[str, Any]:
    """Gather what a run did, from its artifacts.

    Args:
      config: the experiment.
      nodes: what ML Metadata holds of the run.
      seconds: wall time of each node.
      run_folder: the experiment's folder.
      example_image: one of the images that were read.
      log: the log file of the run.

    Returns:
      Plain data: `labels`, `verdict`, `gates`, `metrics` (one entry per slice, with n and
      positives; where all findings are labels, with the macro AUC and the same for each finding),
      `metrics_unsampled` (the same before test images were balanced), `data`,
      `data_gate` (what it found), `model`, `infra_canary` (what it asked), `pushed`, `nodes`,
      `versions` and `paths`.
    """
    evaluation = nodes["Evaluator"].outputs["evaluation"]
    blessing = nodes[BLESSING_NODE].outputs["blessing"]
    judgement = read_judgement(nodes[BLESSING_NODE].outputs["judgement"].uri)
    model = nodes["Trainer"].outputs["model"]
    data_report = nodes["DataReport"].outputs["report"]
    canary = _canary(nodes)
    slices = _load(config, evaluation.uri)
    contract = _read_json(f"{path_utils.serving_model_path(model.uri)}/{CONTRACT}")
    return {
        "experiment": config.name,
        "description": config.description,
        "labels": config.data.labels,
        "verdict": BLESSED
        if blessing.properties.get("blessed") and (canary is None or canary["blessed"])
        else REFUSED,
        "gates": [gate.model_dump() for gate in judgement.gates],
        "report_only": judgement.report_only,
        "baselines": [baseline.model_dump() for baseline in judgement.baselines],
        "metrics": _metrics(config, slices),
        "slices_too_small": sum(one.n < config.evaluator.min_slice_size for one in slices),
        "metrics_unsampled": _unsampled(config, nodes),
        "data": _account(nodes["XrayExampleGen"].outputs["report"]),
        "data_gate": _data_gate(data_report),
        "model": {
            key: contract[key]
            for key in (
                "task",
                "class_names",
                "outputs",
                "precision",
                "backbone",
                "weights",
                "image_size",
                "training",
            )
        },
        "infra_canary": canary,
        "pushed": _pushed(nodes["Pusher"].outputs["pushed_model"]),
        "nodes": {
            name: {"seconds": round(spent, 1), "cached": nodes[name].cached}
            for name, spent in seconds.items()
        },
        "seconds": round(sum(seconds.values()), 1),
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES}
        | {"python": platform.python_version()},
        "paths": {
            "run": str(run_folder),
            "model": path_utils.serving_model_path(model.uri),
            "keras": io_utils.get_only_uri_in_dir(f"{model.uri}/{KERAS_FOLDER}"),
            "evaluation": evaluation.uri,
            "scores": nodes["Scorer"].outputs["scores"].uri,
            "report": f"{nodes['EvaluationReport'].outputs['report'].uri}/{REPORT}",
            "dashboard": f"{nodes['EvaluationReport'].outputs['report'].uri}/{TFMA_FILE}",
            "model_card": f"{nodes['EvaluationReport'].outputs['report'].uri}/{CARD_PAGE}",
            "grad_cam": f"{nodes['GradCamReport'].outputs['report'].uri}/{CASES_PAGE}",
            "data": f"{data_report.uri}/{HTML_FILE}",
            "statistics": nodes["StatisticsGen"].outputs["statistics"].uri,
            "tensorboard": nodes["Trainer"].outputs["model_run"].uri,
            "ingest": f"{nodes['XrayExampleGen'].outputs['report'].uri}/{ingest.PAGE_NAME}",
            "example_image": example_image,
            "log": str(log),
        },
    }


def _load(config: Config, evaluation_uri: str) -> Slices:
    if config.data.labels == "findings":
        return results.load_multi_label(evaluation_uri)
    return results.load_slices(evaluation_uri)


def _metrics(config: Config, slices: Slices) -> list[dict[str, Any]]:
    return [
        {"name": one.name} | dataclasses.asdict(one)
        for one in slices
        if one.n >= config.evaluator.min_slice_size
    ]


def _unsampled(config: Config, nodes: Mapping[str, NodeRecord]) -> list[dict[str, Any]]:
    if UNSAMPLED_EVALUATOR not in nodes:
        return []
    evaluation = nodes[UNSAMPLED_EVALUATOR].outputs["evaluation"]
    return _metrics(config, _load(config, evaluation.uri))


def _account(artifact: Output) -> dict[str, Any]:
    account = _read_json(f"{artifact.uri}/{ingest.FILE_NAME}")
    # The names of files are in the report.
    return {key: value for key, value in account.items() if not key.endswith("_files")}


def _data_gate(artifact: Output) -> dict[str, Any]:
    found = _read_json(f"{artifact.uri}/{INDEX_FILE}")
    return {key: found[key] for key in ("problems", "notes")}


def _pushed(artifact: Output) -> dict[str, Any] | None:
    if not artifact.properties.get("pushed"):
        return None
    path = str(artifact.properties["pushed_destination"])
    folder, _, version = path.rpartition("/")
    labels = (
        remote.current_labels(folder)
        if storage.is_remote(folder)
        else ModelFolder(Path(folder)).labels().current
    )
    return {
        "version": version,
        "path": path,
        # What is cached was not pushed again: another run, or `cxr models`, may have moved them.
        "labels": [name for name, number in labels.items() if number == int(version)],
        "exists": bool(fileio.exists(path)),
    }


def _canary(nodes: Mapping[str, NodeRecord]) -> dict[str, Any] | None:
    if "InfraCanary" not in nodes:
        return None
    trial = read_trial(nodes["InfraCanary"].outputs["blessing"].uri)
    return {"blessed": trial.blessed} | trial.model_dump(mode="json")


def _read_json(uri: str) -> Any:
    with fileio.open(uri, "rb") as file:
        return json.loads(file.read())
