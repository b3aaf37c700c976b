"""Walks the DAG of a compiled pipeline, as Kubeflow Pipelines would on a cluster.

There is no cluster: containers are processes of this machine, and the object store is a folder.
What Kubeflow's driver, launcher and cache do is done here by the sources named in each module, so
that a pipeline which runs here has no fault but those that only a cluster can show.
"""

from __future__ import annotations

import dataclasses
import itertools
import threading
import uuid
from collections.abc import Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

from tests.kubeflow_driver.cache import cache_key
from tests.kubeflow_driver.documents import Json, Package
from tests.kubeflow_driver.launching import Launcher
from tests.kubeflow_driver.resolving import (
    Artifact,
    Scope,
    resolve_artifacts,
    resolve_parameters,
    root_parameters,
)

COMPLETE, CACHED, FAILED = "COMPLETE", "CACHED", "FAILED"
_EXIT_HANDLER = "ALL_UPSTREAM_TASKS_COMPLETED"


@dataclasses.dataclass(frozen=True)
class TaskResult:
    """A task that ended.

    Attributes:
      state: in ML Metadata's words.
      attempts: how often its container ran.
      log: what the last one printed.
      artifacts: its outputs.
    """

    state: str
    attempts: int
    log: str
    artifacts: Mapping[str, Artifact]


@dataclasses.dataclass(frozen=True)
class Run:
    """A run that ended.

    Attributes:
      id: of the run.
      state: of all tasks together.
      tasks: those that ended, by name.
    """

    id: str
    state: str
    tasks: Mapping[str, TaskResult]

    def by_state(self, state: str) -> set[str]:
        """The names of the tasks in a state."""
        return {name for name, task in self.tasks.items() if task.state == state}


class Cluster:
    """Runs pipelines, and remembers their results as Kubeflow's cache does."""

    def __init__(
        self,
        folder: Path,
        *,
        pipeline_root: str,
        secrets: Mapping[str, Mapping[str, str]] | None = None,
        at_once: int = 2,
    ):
        """Start with an empty store and an empty cache.

        Args:
          folder: for the store and the pods.
          pipeline_root: minio://BUCKET/FOLDER.
          secrets: of the namespace: each secret's keys and what they hold.
          at_once: how many containers run at a time.
        """
        self.store = folder / "store"
        self.root = pipeline_root
        self._launcher = Launcher(self.store, folder / "pods", secrets or {})
        self._at_once = at_once
        self._serial = itertools.count(1)
        self._cache: dict[str, Mapping[str, Artifact]] = {}
        self._lock = threading.Lock()

    def run(
        self,
        package: Package,
        parameters: Mapping[str, Any] | None = None,
        *,
        pipeline_root: str | None = None,
        killed: Mapping[str, int] | None = None,
        known: Mapping[str, TaskResult] | None = None,
    ) -> Run:
        """Run a pipeline.

        Args:
          package: as it was compiled.
          parameters: of the run; the others have their defaults.
          pipeline_root: another than the cluster's.
          killed: how many attempts of which tasks are killed while they write, as for want of
            memory.
          known: results of an earlier run that are taken as they are, to spare the time.
        """
        run_id = str(uuid.uuid4())
        folder = f"{pipeline_root or self.root}/{package.name}/{run_id}"
        walk = _Walk(self, package, run_id, folder, dict(killed or {}), dict(known or {}))
        root = package.spec["root"]
        definitions = root.get("inputDefinitions", {}).get("parameters", {})
        state = walk.dag(root, root_parameters(definitions, parameters or {}))
        return Run(run_id, state, walk.results)


class _Walk:
    """One run."""

    def __init__(
        self,
        cluster: Cluster,
        package: Package,
        run_id: str,
        folder: str,
        killed: dict[str, int],
        known: dict[str, TaskResult],
    ):
        self.results: dict[str, TaskResult] = {}
        self._cluster = cluster
        self._package = package
        self._run_id = run_id
        self._folder = folder
        self._killed = killed
        self._known = known

    def dag(self, component: Json, parameters: Json) -> str:
        """Run the tasks of a DAG; its exit handlers last, whatever became of the others.

        As Argo does, nothing new is started once a task failed. The state is of the others.
        """
        tasks: dict[str, Json] = component["dag"]["tasks"]
        handlers = {
            name
            for name, task in tasks.items()
            if task.get("triggerPolicy", {}).get("strategy") == _EXIT_HANDLER
        }
        states: dict[str, str] = {}
        outputs: dict[str, Mapping[str, Artifact]] = {}

        def start(name: str) -> TaskResult:
            scope = Scope(parameters, outputs, states, self._variables(name))
            return self._task(name, tasks[name], scope)

        waiting = set(tasks) - handlers
        with ThreadPoolExecutor(self._cluster._at_once) as pool:
            running: dict[Future[TaskResult], str] = {}
            while waiting or running:
                ready = {one for one in waiting if _upstream(tasks[one]) <= set(outputs)}
                if FAILED in states.values():
                    ready = waiting = set()
                if not ready and not running and waiting:
                    raise RuntimeError(f"no task can start: {sorted(waiting)}")
                waiting -= ready
                running |= {pool.submit(start, name): name for name in sorted(ready)}
                for future in wait(running, return_when=FIRST_COMPLETED).done if running else ():
                    name = running.pop(future)
                    result = future.result()
                    states[name] = result.state
                    if result.state != FAILED:
                        outputs[name] = result.artifacts
        state = FAILED if FAILED in states.values() else COMPLETE
        for name in sorted(handlers):
            states[name] = start(name).state
        return state

    def _task(self, name: str, task: Json, scope: Scope) -> TaskResult:
        component = self._package.component(task["componentRef"]["name"])
        parameters = resolve_parameters(task, component, scope)
        if "dag" in component:
            return TaskResult(self.dag(component, parameters), 0, "", {})
        if name in self._known:
            result = self._known[name]
        else:
            result = self._contain(
                name, task, component, self._input(name, parameters, task, component, scope)
            )
        self.results[name] = result
        return result

    def _input(
        self, name: str, parameters: Json, task: Json, component: Json, scope: Scope
    ) -> Json:
        """`ExecutorInput`, as its driver writes it."""
        folder = f"{self._folder}/{name}/{uuid.uuid4()}"
        definitions = component.get("outputDefinitions", {}).get("artifacts", {})
        return {
            "inputs": {
                "parameterValues": parameters,
                "artifacts": resolve_artifacts(task, scope),
            },
            "outputs": {
                "artifacts": {
                    key: {
                        "artifacts": [
                            {
                                "uri": f"{folder}/{key}",
                                "type": definition["artifactType"],
                                "metadata": definition.get("metadata", {}),
                            }
                        ]
                    }
                    for key, definition in definitions.items()
                },
            },
        }

    def _contain(self, name: str, task: Json, component: Json, executor_input: Json) -> TaskResult:
        container = self._package.container(component)
        kubernetes = self._package.on_kubernetes(component)
        key = cache_key(container, kubernetes, executor_input)
        cached = task.get("cachingOptions", {}).get("enableCache", False)
        if cached and key in self._cluster._cache:
            return TaskResult(CACHED, 0, "", self._cluster._cache[key])
        log, allowed = "", 1 + task.get("retryPolicy", {}).get("maxRetryCount", 0)
        for attempt in range(1, allowed + 1):
            ended = self._cluster._launcher.run(
                f"{self._run_id}-{name}-{attempt}",
                container,
                kubernetes,
                executor_input,
                killed=attempt <= self._killed.get(name, 0),
            )
            log = ended.log
            if ended.code == 0:
                with self._cluster._lock:
                    artifacts = {
                        output: Artifact(str(next(self._cluster._serial)), uri, metadata)
                        for output, (uri, metadata) in ended.artifacts.items()
                    }
                    self._cluster._cache[key] = artifacts
                return TaskResult(COMPLETE, attempt, log, artifacts)
        return TaskResult(FAILED, allowed, log, {})

    def _variables(self, task: str) -> dict[str, str]:
        return {
            "pipeline_job_name": f"{self._package.name} run",
            "pipeline_job_resource_name": f"{self._package.name}-xyz",
            "pipeline_job_uuid": self._run_id,
            "pipeline_task_name": task,
        }


def _upstream(task: Json) -> set[str]:
    artifacts = task.get("inputs", {}).get("artifacts", {}).values()
    return {
        *task.get("dependentTasks", ()),
        *(one["taskOutputArtifact"]["producerTask"] for one in artifacts),
    }
