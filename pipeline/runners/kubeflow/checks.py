"""What open-source Kubeflow asks of a pipeline, checked before it is written.

Kubeflow finds such faults when a node starts, hours into a run.
"""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterator
from typing import Any

from pipeline.runners.kubeflow.adaptations import Spec, containers, dags

# One argument of a process can have 128 KiB (Linux' MAX_ARG_STRLEN); the driver adds URIs and
# metadata to what is here.
LARGEST_ARGUMENT = 100_000
# etcd takes no object above 1.5 MB, and Argo adds templates to what is here.
LARGEST_PIPELINE = 1_000_000
# All annotations of a pod together (Kubernetes' TotalAnnotationSizeLimitB is 256 KiB).
LARGEST_ANNOTATION = 200_000

# They become names of Argo's templates.
_ID = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9]{0,126}[A-Za-z0-9])?")
_PIPELINE_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,126}[a-z0-9])?")
# What the driver fills in, where it is the whole of a constant.
_FILLED_IN = re.compile(r"\{\{\$\.pipeline_(job|task)_[a-z_]+\}\}")


class NotRunnableError(RuntimeError):
    """A compiled pipeline that Kubeflow would not run; says all that is wrong."""


def check(spec: Spec, platform: Spec) -> None:
    """Look a compiled pipeline over.

    Raises:
      NotRunnableError: if Kubeflow would not run it.
    """
    found = [
        problem
        for test in (names, executors, producers, parameters, constants, types, sizes)
        for problem in test(spec)
    ] + list(pod_annotations(platform))
    if found:
        raise NotRunnableError("Kubeflow would not run this pipeline:\n" + "\n".join(found))


def names(spec: Spec) -> Iterator[str]:
    """Names that Argo does not take."""
    if not _PIPELINE_NAME.fullmatch(spec["pipelineInfo"]["name"]):
        yield f"pipeline {spec['pipelineInfo']['name']!r}: not lower-case letters, digits and '-'"
    ids = {name for _, dag in dags(spec) for name in dag["dag"]["tasks"]} | set(spec["components"])
    for name in sorted(ids):
        if not _ID.fullmatch(name):
            yield f"node {name!r}: not letters, digits and '-' only"


def executors(spec: Spec) -> Iterator[str]:
    """Nodes that are no container, or whose class is not there, or that share a container."""
    labels = spec["deploymentSpec"]["executors"]
    seen: dict[str, str] = {}
    for node, component in spec["components"].items():
        if "dag" in component:
            continue
        executor = labels.get(component.get("executorLabel"), {})
        if not {"container", "importer"} & executor.keys():
            yield f"{node}: is run by {', '.join(executor) or 'nothing'}, not in a container"
    for node, _, container in containers(spec):
        args = container["args"]
        path = args[args.index("--executor_class_path") + 1]
        if not _importable(path):
            yield f"{node}: no class {path}"
        # Argo's templates are kept by container, outputs and all.
        other = seen.setdefault(json.dumps(container, sort_keys=True), node)
        if other != node:
            yield f"{node}: its container is that of {other}"


def _importable(path: str) -> bool:
    module, _, name = path.rpartition(".")
    try:
        return hasattr(importlib.import_module(module), name)
    except ImportError:
        return False


def producers(spec: Spec) -> Iterator[str]:
    """Inputs that no task of the same DAG makes, and tasks that wait for none that is there."""
    for dag, component in dags(spec):
        tasks = component["dag"]["tasks"]
        for name, task in tasks.items():
            for other in task.get("dependentTasks", []):
                if other not in tasks:
                    yield f"{dag}/{name}: waits for {other}, which is not there"
            inputs = task.get("inputs", {})
            for key, source in inputs.get("artifacts", {}).items():
                wanted = source["taskOutputArtifact"]
                yield from (
                    f"{dag}/{name}: input {key}: {problem}"
                    for problem in _missing_output(spec, tasks, wanted, "artifacts")
                )
            for key, source in inputs.get("parameters", {}).items():
                if "taskOutputParameter" in source:
                    wanted = source["taskOutputParameter"]
                    yield from (
                        f"{dag}/{name}: parameter {key}: {problem}"
                        for problem in _missing_output(spec, tasks, wanted, "parameters")
                    )


def _missing_output(spec: Spec, tasks: Spec, wanted: Spec, kind: str) -> Iterator[str]:
    producer = wanted["producerTask"]
    if producer not in tasks:
        yield f"no task {producer}"
        return
    component = spec["components"][tasks[producer]["componentRef"]["name"]]
    key = wanted["outputArtifactKey" if kind == "artifacts" else "outputParameterKey"]
    if key not in component.get("outputDefinitions", {}).get(kind, {}):
        yield f"{producer} has no output {key}"


def parameters(spec: Spec) -> Iterator[str]:
    """Parameters without a value: the driver looks in the enclosing DAG only."""
    for name, definition in _parameters_of(spec["root"]).items():
        if "defaultValue" not in definition:
            yield f"parameter {name}: has no default"
    for dag, component in dags(spec):
        own = _parameters_of(component)
        for name, task in component["dag"]["tasks"].items():
            given = task.get("inputs", {}).get("parameters", {})
            for key, source in given.items():
                outer = source.get("componentInputParameter")
                if outer is not None and outer not in own:
                    yield f"{dag}/{name}: parameter {key}: {dag} has no parameter {outer}"
                if not {
                    "componentInputParameter", "runtimeValue", "taskFinalStatus",
                    "taskOutputParameter",
                } & source.keys():  # fmt: skip
                    yield f"{dag}/{name}: parameter {key}: has no source"
            declared = _parameters_of(spec["components"][task["componentRef"]["name"]])
            for key, definition in declared.items():
                if key not in given and not definition.get("isOptional"):
                    yield f"{dag}/{name}: parameter {key}: is not given"


def _parameters_of(component: Spec) -> Spec:
    return component.get("inputDefinitions", {}).get("parameters", {})


def constants(spec: Spec) -> Iterator[str]:
    """Text that Kubeflow or Argo would take for a placeholder, and values of an old schema."""
    for dag, component in dags(spec):
        for name, task in component["dag"]["tasks"].items():
            for key, source in task.get("inputs", {}).get("parameters", {}).items():
                if "runtimeValue" not in source:
                    continue
                value = source["runtimeValue"].get("constant")
                if value is None:
                    yield f"{dag}/{name}: parameter {key}: is no constant of schema 2.1"
                elif isinstance(value, str) and "{{" in value and not _FILLED_IN.fullmatch(value):
                    yield f"{dag}/{name}: parameter {key}: has '{{{{' in it"
    for node, _, container in containers(spec):
        for arg in container["args"]:
            if "{{" in arg and arg != "{{$}}":
                yield f"{node}: an argument has '{{{{' in it: {arg[:60]}"


def types(spec: Spec) -> Iterator[str]:
    """Artifacts that are not typed as Kubeflow's, or not typed for TFX."""
    for node, component in spec["components"].items():
        for side in ("inputDefinitions", "outputDefinitions"):
            for key, artifact in component.get(side, {}).get("artifacts", {}).items():
                title = artifact["artifactType"].get("schemaTitle", "")
                if not title.startswith("system."):
                    yield f"{node}: {key}: is typed {title or 'by a schema'}, not system.*"
    for node, component, container in containers(spec):
        for side in ("input", "output"):
            carried = _carried(container["args"], f"--json_serialized_{side}s_spec_args")
            wanted = component.get(f"{side}Definitions", {}).get("artifacts", {})
            if wanted.keys() != carried.get("artifacts", {}).keys():
                yield f"{node}: the types of its {side}s are not among its arguments"


def _carried(args: list[str], flag: str) -> dict[str, Any]:
    return json.loads(args[args.index(flag) + 1]) if flag in args else {}


def sizes(spec: Spec) -> Iterator[str]:
    """What does not fit into a command line, or into Kubernetes' store."""
    for dag, component in dags(spec):
        for name, task in component["dag"]["tasks"].items():
            size = len(json.dumps(task.get("inputs", {})).encode())
            if size > LARGEST_ARGUMENT:
                yield f"{dag}/{name}: {size:,} bytes of inputs; {LARGEST_ARGUMENT:,} fit"
    for node, _, container in containers(spec):
        size = max(len(arg.encode()) for arg in container["args"])
        if size > LARGEST_ARGUMENT:
            yield f"{node}: an argument of {size:,} bytes; {LARGEST_ARGUMENT:,} fit"
    size = len(json.dumps(spec).encode())
    if size > LARGEST_PIPELINE:
        yield f"{size:,} bytes in all; {LARGEST_PIPELINE:,} fit"


def pod_annotations(platform: Spec) -> Iterator[str]:
    """Annotations that Kubernetes does not take, or in which Argo sees a placeholder."""
    configs = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    for label, config in configs.items():
        texts = config.get("podMetadata", {}).get("annotations", {})
        size = sum(len(key.encode()) + len(text.encode()) for key, text in texts.items())
        if size > LARGEST_ANNOTATION:
            yield f"{label}: {size:,} bytes of annotations; {LARGEST_ANNOTATION:,} fit"
        for key, text in texts.items():
            if "{{" in text:
                yield f"{label}: annotation {key} has '{{{{' in it"
