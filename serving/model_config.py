"""The file that tells a server which versions of a model it serves, and under which labels.

It is TensorFlow Serving's own: a `ModelServerConfig` in protobuf's text format, for
`--model_config_file`. These functions take and return its text, wherever it is kept.
"""

from __future__ import annotations

from collections.abc import Mapping

from google.protobuf import text_format
from tensorflow_serving.config.model_server_config_pb2 import ModelConfig, ModelServerConfig

from serving.prediction import PredictionError

FILE_NAME = "models.config"
STABLE, CANARY = "stable", "canary"

_HEADER = "# `cxr models` and the Pusher write this file; --model_config_file of the server.\n"


class ModelConfigError(PredictionError):
    """The file is not what a server could read."""


def parse(text: str, where: str) -> ModelServerConfig:
    """Read the file.

    Args:
      text: its content; empty for one that is not there yet.
      where: it was read from, for the message.

    Raises:
      ModelConfigError: if it is no model config list.
    """
    config = ModelServerConfig()
    try:
        text_format.Parse(text, config)
    except text_format.ParseError as error:
        raise ModelConfigError(
            f"{where}: no ModelServerConfig in text format: {error}. Mend it, or move it away: it "
            "is then written anew with the next push or promotion"
        ) from error
    if config.WhichOneof("config") == "custom_model_config":
        raise ModelConfigError(f"{where}: a custom_model_config; a model_config_list was expected")
    return config


def labels_of(config: ModelServerConfig, model: str) -> dict[str, int]:
    """The version that each label of a model stands for; empty where the file has no such model."""
    entry = _entry(config, model)
    return dict(entry.version_labels) if entry else {}


def base_path_of(config: ModelServerConfig, model: str) -> str:
    """The model's folder as the servers see it; empty where the file has no such model."""
    entry = _entry(config, model)
    return entry.base_path if entry else ""


def with_labels(
    config: ModelServerConfig, model: str, base_path: str, labels: Mapping[str, int]
) -> str:
    """The file's text with other labels for one model; other models stay as they are.

    A server then loads the labelled versions and no others. Of them, a client that asks for no
    label gets the one with the highest number.

    Args:
      config: as it was.
      model: its name, under which clients ask for it.
      base_path: absolute path or URI of its folder, as the servers see it.
      labels: the version that each stands for; one at least.
    """
    changed = ModelServerConfig()
    changed.CopyFrom(config)
    entry = _entry(changed, model) or changed.model_config_list.config.add(
        name=model, model_platform="tensorflow"
    )
    entry.base_path = base_path
    entry.version_labels.clear()
    entry.version_labels.update(labels)
    entry.model_version_policy.Clear()
    entry.model_version_policy.specific.versions.extend(sorted(set(labels.values())))
    return _HEADER + text_format.MessageToString(changed)


def _entry(config: ModelServerConfig, model: str) -> ModelConfig | None:
    entries = config.model_config_list.config
    return next((entry for entry in entries if entry.name == model), None)
