"""A node's parameters as one run of a compiled pipeline wants them.

A setting of the experiment is but a part of a node's parameters, which are JSON, and several nodes
may follow from it. So the pipeline is built once more in the node's container, of the experiment
with what the run changes, and the node takes its parameters from there.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from google.protobuf import json_format
from tfx import v1 as tfx
from tfx.dsl.components.base.base_node import BaseNode
from tfx.orchestration.kubeflow.v2 import compiler_utils

from components.errors import InputError
from components.example_gen.datasets.files import join, place
from components.trainer.weights import IMAGENET, NO_WEIGHTS
from pipeline.config import Config, override_config
from pipeline.pipeline import Places
from pipeline.runners.kubeflow.build import build, model_folder
from pipeline.runners.kubeflow.experiment import read_experiment
from pipeline.runners.kubeflow.runtime import RuntimeSettings

# What is settled outside of the nodes' own parameters.
_COMPILED = ("name", "beam", "kubeflow")


@dataclasses.dataclass(frozen=True)
class NodeShape:
    """What KFP was told of a node, and a run cannot change.

    Attributes:
      inputs: the node and output of each.
      upstream: the nodes that it waits for.
      parameters: their names.
    """

    inputs: Mapping[str, tuple[str, str]]
    upstream: frozenset[str]
    parameters: frozenset[str]


@dataclasses.dataclass(frozen=True)
class Node:
    """A node as it would be compiled.

    Attributes:
      shape: how it hangs together with others.
      values: of its parameters, as KFP hands them over.
    """

    shape: NodeShape
    values: Mapping[str, Any]


def changed_parameters(experiment: str, settings: RuntimeSettings, node: str) -> dict[str, Any]:
    """The parameters of a node that the run changes, with their values.

    Args:
      experiment: as compiled, see `experiment.experiment_text`.
      settings: what the run changes.
      node: its id.

    Raises:
      InputError: if an override is wrong, or of something that was settled by compiling.
    """
    config, places = read_experiment(experiment)
    compiled = nodes_of(build(config, places))
    changed = nodes_of(build(*apply(config, places, settings)))
    different = sorted(
        one
        for one in {*compiled, *changed}
        if one not in compiled or one not in changed or compiled[one].shape != changed[one].shape
    )
    if different:
        raise InputError(
            "overrides: this changes which nodes run, or what they are given "
            f"({', '.join(different)}): {settings.remedy}"
        )
    before, after = compiled[node].values, changed[node].values
    return {name: value for name, value in after.items() if value != before[name]}


def apply(config: Config, places: Places, settings: RuntimeSettings) -> tuple[Config, Places]:
    """The experiment and its places as the run wants them.

    Raises:
      InputError: if an override is wrong, or of something that was settled by compiling; if the
        data is elsewhere, and its fingerprint would still be that of the compiled data.
    """
    changed = override_config(config, settings.all_overrides)
    if changed.trainer.weights not in (config.trainer.weights, IMAGENET, NO_WEIGHTS):
        raise InputError(
            f"overrides: trainer.weights={changed.trainer.weights}: the cache would not notice "
            f"that the file was replaced: {settings.remedy}"
        )
    for section in _COMPILED:
        if getattr(changed, section) != getattr(config, section):
            raise InputError(
                f"overrides: a run cannot change {section} any more: {settings.remedy}"
            )
    folders = {name: source.folder or "" for name, source in changed.data.datasets.items()}
    if settings.data_root:
        root = place(settings.data_root)
        sources = {
            name: str(join(root, source.folder)) for name, source in changed.data.datasets.items()
        }
    elif folders != {name: source.folder or "" for name, source in config.data.datasets.items()}:
        raise InputError(
            "overrides: a run with other datasets, or in other folders, needs the parameter "
            "data_root, too"
        )
    else:
        sources = dict(places.sources)
    if sources != places.sources and places.fingerprint and not settings.data_fingerprint:
        raise InputError(
            f"data_root {settings.data_root}: the pipeline was compiled with the fingerprint of "
            "other data, by which the cache would know this data, too: give data_fingerprint as "
            "well, any text that changes when its files do"
        )
    return changed, dataclasses.replace(
        places,
        sources=sources,
        fingerprint=settings.data_fingerprint or places.fingerprint,
        serving=model_folder(settings.serving_root) if settings.serving_root else places.serving,
    )


def nodes_of(pipeline: tfx.dsl.Pipeline) -> dict[str, Node]:
    """The nodes of a pipeline, by id."""
    pipeline.finalize()
    return {node.id: _node(node) for node in pipeline.components}


def _node(node: BaseNode) -> Node:
    values = {
        name: json_format.MessageToDict(compiler_utils.value_converter(value))["constant"]
        for name, value in node.exec_properties.items()
        if value is not None
    }
    return Node(
        shape=NodeShape(
            inputs={
                key: (channel.producer_component_id, channel.output_key)
                for key, channel in node.inputs.items()
            },
            upstream=frozenset(other.id for other in node.upstream_nodes),
            parameters=frozenset(values),
        ),
        values=values,
    )
