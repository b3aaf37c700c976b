"""Where a model came from, and what became of it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from components.example_gen.datasets.files import read_bytes
from pipeline.history.graph import Artifact, Execution, History, Run

TRAINER, GATE, DATA = "Trainer", "ModelGate", "XrayExampleGen"

_CODE, _SETTINGS, _CUSTOM = "code", "settings", "custom_config"


@dataclasses.dataclass(frozen=True)
class Step:
    """A node that had a part in it.

    Attributes:
      node: its name.
      execution: id in ML Metadata of that which did the work; a cached one did none.
      run: the id of its run.
      code: digest of the node's source; empty of nodes that are TFX's own.
      settings: digest of its other execution properties.
      inputs: what it read, as URIs by key.
      outputs: what it wrote, likewise.
    """

    node: str
    execution: int
    run: str
    code: str
    settings: str
    inputs: Mapping[str, Sequence[str]]
    outputs: Mapping[str, Sequence[str]]


@dataclasses.dataclass(frozen=True)
class Lineage:
    """Of one model.

    Attributes:
      pipeline: its name.
      model: the artifact.
      run: the id of the run that trained it.
      experiment: digest of all settings, as the report of that model has it; empty without one.
      made_by: the steps before it, the Trainer first, then what that read, and so on to the data.
      used_by: the steps after it: scores, evaluations, the gate, reports, and the push.
      blessed: what the gate said; None if it was not asked.
      pushed: version, label and folder of each push.
      fingerprint: digest of the data's files.
      sources: the folder of each dataset.
      counts: what became of the images, see the ingest report; empty if that is gone.
    """

    pipeline: str
    model: Artifact
    run: str
    experiment: str
    made_by: Sequence[Step]
    used_by: Sequence[Step]
    blessed: bool | None
    pushed: Sequence[Mapping[str, str]]
    fingerprint: str
    sources: Mapping[str, str]
    counts: Mapping[str, int]

    def as_json(self) -> dict[str, Any]:
        """Plain data, for `json.dumps`."""
        return dataclasses.asdict(self)


def model_of(history: History, run: Run) -> Artifact | None:
    """The model that a run trained, or took from the cache."""
    return history.output(run, TRAINER, "model")


def model_of_version(history: History, version: str) -> Artifact | None:
    """The model that was pushed as a version."""
    for execution in history.executions():
        for pushed in history.outputs(execution, "pushed_model"):
            if str(pushed.properties.get("pushed_version", "")) == version:
                return next(iter(_inputs(history, execution, "model")), None)
    return None


def model_at(history: History, path: Path) -> Artifact | None:
    """The model whose artifact, or pushed version, lies in a folder, or above it."""
    places = {str(path), *map(str, path.parents)}
    for execution in history.executions():
        for pushed in history.outputs(execution, "pushed_model"):
            if places & {pushed.uri, str(pushed.properties.get("pushed_destination", ""))}:
                return next(iter(_inputs(history, execution, "model")), None)
    models = [one for one in history.artifacts.values() if one.type == "Model"]
    return next((one for one in models if one.uri in places), None)


def trace(history: History, model: Artifact) -> Lineage:
    """The lineage of a model.

    Args:
      history: of its pipeline.
      model: one of its artifacts.
    """
    trainer = history.makers[model.id]
    before = _before(history, trainer)
    after = list({use.node: use for use in history.uses(model.id)}.values())
    gate = next((one for one in after if one.node == GATE), None)
    blessing = history.outputs(gate, "blessing") if gate else []
    reports = [one for one in after if "lineage" in one.settings]
    data = next((one for one in before if one.node == DATA), None)
    return Lineage(
        pipeline=history.pipeline,
        model=model,
        run=history.run_of(trainer).id,
        experiment=_json(reports[-1].settings["lineage"]).get("config", "") if reports else "",
        made_by=[_step(history, one) for one in before],
        used_by=[_step(history, one) for one in after],
        blessed=bool(blessing[0].properties.get("blessed")) if blessing else None,
        pushed=_pushed(history, after),
        fingerprint=str(data.settings.get("fingerprint", "")) if data else "",
        sources=_sources(data),
        counts=_counts(history, data),
    )


def mermaid(lineage: Lineage) -> str:
    """The lineage as a Mermaid flow chart: nodes in boxes, artifacts on the arrows."""
    steps = [*reversed(lineage.made_by), *lineage.used_by]
    makers = {uri: step for step in steps for uris in step.outputs.values() for uri in uris}
    lines = ["flowchart TD"]
    for step in steps:
        code = f"<br/>code {step.code}" if step.code else ""
        lines.append(f'  n{step.execution}["{step.node}{code}"]')
    edges = {
        f"  n{makers[uri].execution} -- {key} --> n{step.execution}": None
        for step in steps
        for key, uris in step.inputs.items()
        for uri in uris
        if uri in makers
    }
    if lineage.fingerprint:
        data = next(step for step in steps if step.node == DATA)
        lines.append(f'  data[("data {lineage.fingerprint}")] --> n{data.execution}')
    return "\n".join([*lines, *edges])


def _before(history: History, last: Execution) -> list[Execution]:
    """An execution, and those that what it read came from: nearest first, each once."""
    found: dict[int, Execution] = {}
    waiting = [last]
    while waiting:
        execution = waiting.pop(0)
        if execution.id in found:
            continue
        found[execution.id] = execution
        read = sorted(one for ids in execution.inputs.values() for one in ids)
        waiting += [history.makers[one] for one in read if one in history.makers]
    return list(found.values())


def _step(history: History, execution: Execution) -> Step:
    maker = _maker(history, execution)
    code, settings = digests(maker.settings)
    return Step(
        node=maker.node,
        execution=maker.id,
        run=history.run_of(maker).id,
        code=code,
        settings=settings,
        inputs=_uris(history, maker.inputs),
        outputs=_uris(history, maker.outputs),
    )


def _maker(history: History, execution: Execution) -> Execution:
    """The execution that did the work: not one that was answered from the cache."""
    for ids in execution.outputs.values():
        for one in ids:
            if one in history.makers:
                return history.makers[one]
    return execution


def digests(settings: Mapping[str, Any]) -> tuple[str, str]:
    """The digest of a node's source, which it has among its settings, and one of the others.

    Args:
      settings: execution properties, as ML Metadata has them.
    """
    others = dict(settings)
    custom = _json(others.pop(_CUSTOM, "{}"))
    code = others.pop(_CODE, None) or custom.pop(_CODE, "")
    text = json.dumps(others | {_CUSTOM: custom}, sort_keys=True, default=str)
    return str(code), hashlib.sha256(text.encode()).hexdigest()[:16]


def _pushed(history: History, after: Sequence[Execution]) -> list[dict[str, str]]:
    pushed = {
        artifact.id: artifact
        for execution in after
        for artifact in history.outputs(execution, "pushed_model")
        if artifact.properties.get("pushed")
    }
    return [
        {
            "version": str(one.properties.get("pushed_version", "")),
            "label": str(one.properties.get("label", "")),
            "folder": str(one.properties.get("pushed_destination", "")),
        }
        for one in pushed.values()
    ]


def _sources(data: Execution | None) -> dict[str, str]:
    sources = _json(data.settings.get("sources", "{}")) if data else {}
    return {name: str(one.get("folder", "")) for name, one in sources.items()}


def _counts(history: History, data: Execution | None) -> dict[str, int]:
    reports = history.outputs(data, "report") if data else []
    try:
        account = json.loads(read_bytes(f"{reports[0].uri}/ingest.json"))
    except (IndexError, OSError, ValueError):
        return {}
    splits = {
        f"{split} images": sum(one["images"] for one in datasets.values())
        for split, datasets in account.get("splits", {}).items()
    }
    return {"read": account["read"], "kept": account["kept"], **splits}


def _inputs(history: History, execution: Execution, key: str) -> list[Artifact]:
    return [history.artifacts[one] for one in execution.inputs.get(key, ())]


def _uris(history: History, ids: Mapping[str, Sequence[int]]) -> dict[str, list[str]]:
    return {key: [history.artifacts[one].uri for one in some] for key, some in ids.items()}


def _json(text: Any) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (TypeError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
