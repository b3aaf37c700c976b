"""Which models a server should serve: from two flags, or from a ModelServerConfig."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from tensorflow_serving.config import model_server_config_pb2

from serving.server.config import ServerConfig
from serving.server.errors import invalid
from serving.server.storage import VersionPolicy
from serving.server.text_protos import read_model_config

_PLATFORM = "tensorflow"


@dataclass(frozen=True)
class ModelSettings:
    """One model that should be served.

    Attributes:
      name: as requests call it.
      base_path: the folder of its versions.
      policy: which of them to serve.
      labels: names for versions, such as "stable".
      is_retired: no version of it should be served any more.
    """

    name: str
    base_path: Path
    policy: VersionPolicy = field(default_factory=VersionPolicy)
    labels: Mapping[str, int] = field(default_factory=dict)
    is_retired: bool = False

    def retired(self) -> ModelSettings:
        """The same model, to be unloaded."""
        return replace(self, is_retired=True, labels={})


def wanted_models(config: ServerConfig) -> list[ModelSettings]:
    """The models that the flags, or the file that they name, ask for.

    Raises:
      ServerConfigError: the file cannot be read.
      StatusError: INVALID_ARGUMENT, see `from_proto`.
    """
    if config.model_config_file:
        return from_proto(read_model_config(config.model_config_file))
    base_path = Path(config.model_base_path).absolute()
    return [ModelSettings(config.model_name, base_path)]


def from_proto(config: model_server_config_pb2.ModelServerConfig) -> list[ModelSettings]:
    """The models of a ModelServerConfig.

    Raises:
      StatusError: INVALID_ARGUMENT: a model twice, without a name, an absolute folder or a
        platform, or of another platform; or a configuration that lists no models.
    """
    if config.WhichOneof("config") != "model_config_list":
        raise invalid(
            "ServerConfig without model_config_list. Only ModelConfigList is currently supported"
        )
    models: dict[str, ModelSettings] = {}
    for model in config.model_config_list.config:
        if not model.name:
            raise invalid("A model in ModelConfigList has no name.")
        if model.name in models:
            raise invalid(f"Illegal to list model {model.name} multiple times in config list")
        models[model.name] = _settings(model)
    return list(models.values())


def _settings(model: model_server_config_pb2.ModelConfig) -> ModelSettings:
    if not model.base_path.startswith("/"):
        raise invalid(
            f"Expected model {model.name} to have an absolute path or URI; got "
            f"base_path()={model.base_path}"
        )
    # The deprecated field holds the same, as an enum whose 1 is TensorFlow.
    platform = model.model_platform or {1: _PLATFORM}.get(model.model_type, "")
    if not platform:
        raise invalid(
            f"Illegal setting neither ModelConfig::model_type nor "
            f"ModelConfig::model_platform for model {model.name}."
        )
    if platform != _PLATFORM:
        raise invalid(
            f"Model {model.name}: this server's only platform is {_PLATFORM}, not {platform}"
        )
    return ModelSettings(
        model.name,
        Path(model.base_path),
        VersionPolicy.of(model.model_version_policy),
        dict(model.version_labels),
    )
