"""How nodes run on Kubernetes: resources, placement, retries, data and secrets."""

from __future__ import annotations

from typing import Annotated, Literal, Self

import pydantic

from components.settings import Settings

# What Kubernetes understands of its quantities, without the exotic ones.
_MEMORY = r"^[0-9]+(\.[0-9]+)?(M|Mi|G|Gi|T|Ti)$"
_CPU = r"^([0-9]+(\.[0-9]+)?|[0-9]+m)$"
_SECRET_NAME = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"
# Kubeflow names the pod's volume by it, and those have no dots.
_CLAIM_NAME = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"

EnvName = Annotated[str, pydantic.StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


class Toleration(Settings):
    """Lets a pod run on nodes that a taint keeps others from.

    Attributes:
      key: of the taint; none tolerates all taints, with `operator: Exists`.
      operator: whether the value is compared.
      value: of the taint.
      effect: of the taint; none is every effect.
    """

    key: str | None = None
    operator: Literal["Exists", "Equal"] = "Exists"
    value: str | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None

    @pydantic.model_validator(mode="after")
    def _ask_for_a_value_where_it_is_compared(self) -> Self:
        if (self.operator == "Equal") != (self.value is not None):
            raise ValueError("operator Equal takes a value, Exists takes none")
        return self


class Retries(Settings):
    """How often a failed node is tried again, each time in a new pod.

    Attributes:
      count: at most so many more times.
      seconds: before the first.
      factor: by which the wait grows; Argo takes whole ones.
      max_seconds: to which it grows.
    """

    count: int = pydantic.Field(default=0, ge=0)
    seconds: int = pydantic.Field(default=30, ge=0)
    factor: int = pydantic.Field(default=2, ge=1)
    max_seconds: int = pydantic.Field(default=600, ge=0)


class NodeSettings(Settings):
    """How one node runs; what is left out is as for all nodes.

    Attributes:
      cpu: processors, such as `4` or `500m`, asked for and allowed alike.
      memory: such as `8Gi`, asked for and allowed alike: a pod that takes more is killed.
      gpu: accelerators.
      gpu_type: their resource, as the device plugin calls it.
      shared_memory: size of /dev/shm, such as `4Gi`.
      node_selector: labels of the machines that it may run on.
      tolerations: taints of the machines that it may run on.
      retries: how often it is tried again.
      cache: whether its outputs of an earlier run with the same inputs are taken.
      timeout_seconds: after which Kubernetes ends it.
    """

    cpu: str | None = pydantic.Field(default=None, pattern=_CPU, coerce_numbers_to_str=True)
    memory: str | None = pydantic.Field(default=None, pattern=_MEMORY)
    gpu: int | None = pydantic.Field(default=None, ge=0)
    gpu_type: str | None = None
    shared_memory: str | None = pydantic.Field(default=None, pattern=_MEMORY)
    node_selector: dict[str, str] | None = None
    tolerations: tuple[Toleration, ...] | None = None
    retries: Retries | None = None
    cache: bool | None = None
    timeout_seconds: int | None = pydantic.Field(default=None, ge=1)

    def over(self, other: NodeSettings) -> NodeSettings:
        """These settings, and the other's where these say nothing."""
        said = {name: value for name, value in self if value is not None}
        return other.model_copy(update=said)


class Volume(Settings):
    """A persistent volume claim that every node sees, such as the one with the data.

    Attributes:
      claim: its name.
      path: where it is mounted.
      sub_path: the folder of it that is mounted.
    """

    claim: str = pydantic.Field(pattern=_CLAIM_NAME)
    path: str = pydantic.Field(pattern="^/")
    sub_path: str | None = None


class Secret(Settings):
    """A Kubernetes secret, as environment variables of every node.

    Attributes:
      name: of the secret.
      env: each variable and the secret's key that it holds, such as
        `AWS_ACCESS_KEY_ID: accesskey`.
      optional: whether nodes start without it.
    """

    name: str = pydantic.Field(pattern=_SECRET_NAME)
    env: dict[EnvName, str] = pydantic.Field(min_length=1)
    optional: bool = False


# What nodes need on sets of the size of NIH ChestX-ray14, by what they hold in memory: the network
# and its activations, or Beam's bundles and tables of features.
_WITH_A_NETWORK = NodeSettings(cpu="4", memory="12Gi")
_WITH_BEAM = NodeSettings(cpu="2", memory="6Gi")
_ANY_NODE = NodeSettings(
    cpu="1",
    memory="3Gi",
    gpu=0,
    gpu_type="nvidia.com/gpu",
    node_selector={},
    tolerations=(),
    retries=Retries(count=2),
    cache=True,
)
_SENSIBLE = {
    "XrayExampleGen": NodeSettings(cpu="4", memory="8Gi"),
    "StatisticsGen": _WITH_BEAM,
    "Transform": _WITH_BEAM,
    "Embedder": _WITH_A_NETWORK,
    "Tuner": _WITH_A_NETWORK,
    "Trainer": NodeSettings(cpu="4", memory="16Gi"),
    "Scorer": _WITH_A_NETWORK,
    "Evaluator": _WITH_BEAM,
    "ValidationEvaluator": _WITH_BEAM,
    "UnsampledEvaluator": _WITH_BEAM,
    "BaselineProbe": _WITH_BEAM,
    "ExplanationProbe": _WITH_A_NETWORK,
    "CrossDatasetMatrix": _WITH_A_NETWORK,
    "Robustness": _WITH_A_NETWORK,
    "GradCamReport": _WITH_A_NETWORK,
    "InfraCanary": _WITH_BEAM,
    "Verdict": NodeSettings(memory="2Gi"),
    "ReportVerdict": NodeSettings(memory="2Gi"),
}


class KubeflowSettings(Settings):
    """How nodes run on open-source Kubeflow Pipelines.

    Attributes:
      defaults: of all nodes.
      nodes: of single nodes, by id.
      volumes: claims that every node sees.
      env: environment variables of every node, such as `AWS_ENDPOINT_URL`; they are part of the
        cache key.
      secrets: environment variables of every node that are nobody's business.
      image_pull_policy: when the image is fetched; by default as Kubernetes does.
      image_pull_secrets: names of the registry's credentials.
      webhook: where the exit handler posts the verdict, as JSON; nowhere if empty.
    """

    defaults: NodeSettings = NodeSettings()
    nodes: dict[str, NodeSettings] = {}
    volumes: tuple[Volume, ...] = ()
    env: dict[EnvName, str] = {}
    secrets: tuple[Secret, ...] = ()
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = None
    image_pull_secrets: tuple[str, ...] = ()
    webhook: str = pydantic.Field(default="", pattern=r"^(https?://\S+)?$")

    @pydantic.field_validator("volumes")
    @classmethod
    def _ask_for_each_claim_once(cls, volumes: tuple[Volume, ...]) -> tuple[Volume, ...]:
        claims = [volume.claim for volume in volumes]
        for claim in claims:
            if claims.count(claim) > 1:
                raise ValueError(f"the claim {claim} can be mounted once: mount what is above")
        return volumes

    def node(self, node: str) -> NodeSettings:
        """The whole settings of a node: what is said of it, of all nodes, and what is sensible."""
        known = _SENSIBLE.get(node, NodeSettings()).over(_ANY_NODE)
        return self.nodes.get(node, NodeSettings()).over(self.defaults.over(known))
