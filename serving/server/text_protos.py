"""Configuration files in protocol buffers' text form.

ModelServerConfig is part of tensorflow-serving-api, and `serving.model_config` parses it. The
messages of the others are declared here, by the field numbers of TensorFlow Serving's .proto files.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from google.protobuf.message import Message
from tensorflow_serving.config import model_server_config_pb2

from serving import model_config
from serving.server.errors import ServerConfigError

M = TypeVar("M", bound=Message)

_PACKAGE = "cxr.serving"
_F = descriptor_pb2.FieldDescriptorProto
_INT64 = "google.protobuf.Int64Value"
# Message -> field -> (number, type); a list is a repeated field, a name is a message.
_MESSAGES: dict[str, dict[str, tuple[int, Any]]] = {
    "BatchingParameters": {
        "max_batch_size": (1, _INT64),
        "batch_timeout_micros": (2, _INT64),
        "max_enqueued_batches": (3, _INT64),
        "num_batch_threads": (4, _INT64),
        "thread_pool_name": (5, "google.protobuf.StringValue"),
        "allowed_batch_sizes": (6, [_F.TYPE_INT64]),
        "pad_variable_length_inputs": (7, _F.TYPE_BOOL),
        "enable_large_batch_splitting": (8, "google.protobuf.BoolValue"),
        "max_execution_batch_size": (9, _INT64),
    },
    "PrometheusConfig": {"enable": (1, _F.TYPE_BOOL), "path": (2, _F.TYPE_STRING)},
    "MonitoringConfig": {"prometheus_config": (1, f"{_PACKAGE}.PrometheusConfig")},
    "SSLConfig": {
        "server_key": (1, _F.TYPE_STRING),
        "server_cert": (2, _F.TYPE_STRING),
        "custom_ca": (3, _F.TYPE_STRING),
        "client_verify": (4, _F.TYPE_BOOL),
    },
}


def _declared() -> dict[str, type[Message]]:
    from google.protobuf import wrappers_pb2

    pool = descriptor_pool.DescriptorPool()
    wrappers = descriptor_pb2.FileDescriptorProto()
    wrappers_pb2.DESCRIPTOR.CopyToProto(wrappers)
    pool.Add(wrappers)
    file = descriptor_pb2.FileDescriptorProto(
        name="cxr/serving_config.proto",
        package=_PACKAGE,
        syntax="proto3",
        dependency=[wrappers.name],
    )
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field_name, (number, kind) in fields.items():
            repeated = isinstance(kind, list)
            kind = kind[0] if repeated else kind
            field = message.field.add(
                name=field_name,
                number=number,
                label=_F.LABEL_REPEATED if repeated else _F.LABEL_OPTIONAL,
            )
            if isinstance(kind, str):
                field.type, field.type_name = _F.TYPE_MESSAGE, f".{kind}"
            else:
                field.type = kind
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))
        for name in _MESSAGES
    }


_CLASSES = _declared()


def read_model_config(path: Path) -> model_server_config_pb2.ModelServerConfig:
    """Reads a ModelServerConfig.

    Raises:
      ServerConfigError: no such file, or not this message.
    """
    try:
        return model_config.parse(_text(path), str(path))
    except model_config.ModelConfigError as error:
        raise ServerConfigError(str(error)) from error


def read_batching_parameters(path: Path) -> Any:
    """Reads BatchingParameters; raises as `read_model_config` does."""
    return _read(path, _CLASSES["BatchingParameters"]())


def read_monitoring_config(path: Path) -> Any:
    """Reads a MonitoringConfig; raises as `read_model_config` does."""
    return _read(path, _CLASSES["MonitoringConfig"]())


def read_ssl_config(path: Path) -> Any:
    """Reads an SSLConfig, which holds keys and certificates themselves in PEM, not paths."""
    return _read(path, _CLASSES["SSLConfig"]())


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ServerConfigError(f"{path}: cannot be read: {error}") from error


def _read(path: Path, message: M) -> M:
    try:
        return text_format.Parse(_text(path), message)
    except text_format.ParseError as error:
        raise ServerConfigError(
            f"{path}: not a {message.DESCRIPTOR.name} in text form: {error}"
        ) from error
