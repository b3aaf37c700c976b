"""Each node's resources, environment, retries and caching in the pipeline spec."""

from __future__ import annotations

import copy
import difflib
import re
from collections.abc import Collection

from components.errors import InputError
from components.trainer.weights import is_unseen_file
from pipeline.config import Config
from pipeline.pipeline import Places
from pipeline.runners.kubeflow.adaptations import Spec, containers, dags
from pipeline.runners.kubeflow.settings import KubeflowSettings

DATA_READER = "XrayExampleGen"
# They know the network's weights by the digest of a file.
WEIGHTS_READERS = ("Embedder", "Tuner", "Trainer", "CrossDatasetMatrix")
# They tell of the run that they are in, and are never taken from the cache.
OF_ONE_RUN = ("Verdict", "ReportVerdict")

_BYTES = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_BYTES |= {f"{prefix}i": 1024**power for power, prefix in enumerate("KMGT", start=1)}


def check_nodes(settings: KubeflowSettings, nodes: Collection[str]) -> None:
    """Refuse settings of nodes that the pipeline does not have, and of a cache for what has none.

    Raises:
      InputError: naming the node, and the one that was probably meant.
    """
    for node, given in settings.nodes.items():
        if node not in nodes:
            close = difflib.get_close_matches(node, nodes, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise InputError(
                f"kubeflow.nodes.{node}: this experiment has no such node{hint} "
                f"There are {', '.join(sorted(nodes))}."
            )
        if node in OF_ONE_RUN and given.cache:
            raise InputError(
                f"kubeflow.nodes.{node}.cache: it tells of the run that it is in, and is never "
                "taken from another: leave it out"
            )


def set_resources(spec: Spec, settings: KubeflowSettings) -> Spec:
    """Processors, memory and accelerators of each container.

    Newer Kubeflow reads the quantities as they were written, older ones numbers of processors and
    of gigabytes: both are given.
    """
    spec = copy.deepcopy(spec)
    for node, _, container in containers(spec):
        wanted = settings.node(node)
        resources: Spec = {}
        if wanted.cpu is not None:
            resources |= {"resourceCpuRequest": wanted.cpu, "resourceCpuLimit": wanted.cpu}
            resources |= dict.fromkeys(("cpuRequest", "cpuLimit"), processors(wanted.cpu))
        if wanted.memory is not None:
            resources |= dict.fromkeys(
                ("resourceMemoryRequest", "resourceMemoryLimit"), wanted.memory
            )
            resources |= dict.fromkeys(("memoryRequest", "memoryLimit"), gigabytes(wanted.memory))
        if wanted.gpu:
            resources["accelerator"] = {
                "type": wanted.gpu_type,
                "count": str(wanted.gpu),
                "resourceType": wanted.gpu_type,
                "resourceCount": str(wanted.gpu),
            }
        container["resources"] = resources
    return spec


def processors(quantity: str) -> float:
    """How many processors `4`, `0.5` or `500m` are."""
    if quantity.endswith("m"):
        return int(quantity[:-1]) / 1000
    return float(quantity)


def gigabytes(quantity: str) -> float:
    """How many gigabytes (10^9 bytes) `8Gi` or `500M` are."""
    number, unit = re.fullmatch(r"([0-9.]+)([A-Za-z]*)", quantity).groups()  # type: ignore[union-attr]
    return float(number) * _BYTES[unit] / 10**9


def set_env(spec: Spec, settings: KubeflowSettings) -> Spec:
    """Environment variables of each container."""
    spec = copy.deepcopy(spec)
    if settings.env:
        for _, _, container in containers(spec):
            container["env"] = [
                {"name": name, "value": value} for name, value in settings.env.items()
            ]
    return spec


def set_retries(spec: Spec, settings: KubeflowSettings) -> Spec:
    """How often each task is tried again."""
    spec = copy.deepcopy(spec)
    for task in _tasks(spec):
        retries = settings.node(task["componentRef"]["name"]).retries
        if retries is not None and retries.count:
            task["retryPolicy"] = {
                "maxRetryCount": retries.count,
                "backoffDuration": f"{retries.seconds}s",
                "backoffFactor": retries.factor,
                "backoffMaxDuration": f"{retries.max_seconds}s",
            }
    return spec


def readers_of_unseen_files(config: Config, places: Places) -> frozenset[str]:
    """The nodes that read files which are not seen from here, and whose digest is thus unknown.

    Nobody would notice that such a file changed: what reads it must not come from the cache.

    Args:
      config: the experiment.
      places: where it reads and writes.
    """
    data = () if places.fingerprint else (DATA_READER,)
    weights = WEIGHTS_READERS if is_unseen_file(config.trainer.weights) else ()
    return frozenset((*data, *weights))


def set_caching(spec: Spec, settings: KubeflowSettings, *, anew: Collection[str]) -> Spec:
    """Whether each task's outputs are taken from an earlier run.

    Args:
      spec: the pipeline spec.
      settings: of the nodes.
      anew: the nodes that run in any case, beside those that tell of their run.
    """
    spec = copy.deepcopy(spec)
    for task in _tasks(spec):
        node = task["componentRef"]["name"]
        runs = node in OF_ONE_RUN or node in anew
        task["cachingOptions"] = (
            {"enableCache": True} if settings.node(node).cache and not runs else {}
        )
    return spec


def run_anew(spec: Spec, anew: Collection[str]) -> Spec:
    """Have some nodes run in each run, and leave the others as they are."""
    spec = copy.deepcopy(spec)
    for task in _tasks(spec):
        if task["componentRef"]["name"] in anew:
            task["cachingOptions"] = {}
    return spec


def _tasks(spec: Spec) -> list[Spec]:
    """The tasks that run in a container of their own."""
    dag_names = {name for name, _ in dags(spec)}
    return [
        task
        for _, dag in dags(spec)
        for task in dag["dag"]["tasks"].values()
        if task["componentRef"]["name"] not in dag_names
    ]
