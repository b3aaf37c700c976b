"""`cxr serve`: the exported model behind TensorFlow Serving's protocols, in one process."""

from __future__ import annotations

import logging
import signal
import threading
from pathlib import Path
from typing import Any

import click

from components.disclaimer import DISCLAIMER
from components.errors import InputError
from components.storage import is_remote
from pipeline.copying import LocalPath, copying

_FOLDER = LocalPath(file_okay=False)
_FILE = LocalPath(exists=True, dir_okay=False)
# What the server's own defaults decide is not given on; so they stand in one place.
_UNSET: Any = None
# As TensorFlow Serving takes them: --flag, --flag=true, --flag=false.
_BOOLEAN: Any = {"type": bool, "is_flag": False, "flag_value": "true"}


def _flag(name: str, help_text: str, **options: Any) -> Any:
    """A flag that is spelled as TensorFlow Serving does, with underscores, or with dashes."""
    spellings = dict.fromkeys([f"--{name.replace('_', '-')}", f"--{name}"])
    return click.option(*spellings, name, help=help_text, default=_UNSET, **options)


@click.command()
@_flag("model_base_path", "The folder of the model's versions.", metavar="DIR")
@_flag("model_name", 'What requests call the model.  [default: "cxr"]')
@_flag("model_config_file", "Several models, and labels: a ModelServerConfig.", type=_FILE)
@_flag("model_config_file_poll_wait_seconds", "Read it again so often; 0: never.", type=float)
@_flag("file_system_poll_wait_seconds", "Look for versions so often.  [default: 1]", type=float)
@_flag("host", "The interface to listen on.  [default: 127.0.0.1, this machine alone]")
@_flag("port", "For gRPC; 0: any.  [default: 8500]", type=click.IntRange(0, 65535))
@_flag(
    "rest_api_port",
    "For REST and the page; 0: neither.  [default: 8501]",
    type=click.IntRange(0, 65535),
)
@_flag("rest_api_timeout_in_ms", "For a REST request.  [default: 30000]", type=int)
@_flag("rest_api_enable_cors_support", "Answer pages of other origins.", **_BOOLEAN)
@_flag("max_num_load_retries", "Of a version that fails to load.  [default: 5]", type=int)
@_flag("load_retry_interval_micros", "Between them.  [default: 1000000]", type=int)
@_flag(
    "allow_version_labels_for_unavailable_models",
    "Let new labels point at versions that are not loaded.",
    **_BOOLEAN,
)
@_flag("enable_batching", "Run requests together; on a processor that seldom pays.", **_BOOLEAN)
@_flag("batching_parameters_file", "BatchingParameters in text form.", type=_FILE)
@_flag("enable_prometheus", "Metrics at /monitoring/prometheus/metrics.", **_BOOLEAN)
@_flag("monitoring_config_file", "MonitoringConfig in text form.", type=_FILE)
@_flag("ssl_config_file", "SSLConfig in text form, for both ports.", type=_FILE)
@_flag("tensorflow_intra_op_parallelism", "Threads of one operation.", type=int)
@_flag("tensorflow_inter_op_parallelism", "Operations at once.", type=int)
@_flag("max_request_bytes", "Of one request.  [default: 128 MiB]", type=int)
@_flag("max_image_pixels", "Of one image; 0: no limit.  [default: 50 million]", type=int)
@_flag("max_running_requests", "At once.  [default: one per core]", type=int)
@_flag("max_queued_requests", "That wait; the next is refused.  [default: 64]", type=int)
@_flag("request_log_dir", "Log scalars and scores there, never pixels.", type=_FOLDER)
@_flag("request_log_sampling", "The share of images to log.  [default: 1]", type=float)
@_flag("grace_seconds", "For what runs when the server stops.  [default: 30]", type=float)
def serve(**flags: Any) -> None:
    """Serve an exported model over TensorFlow Serving's gRPC and REST protocols.

    This is not TensorFlow Serving: it speaks its protocols, for machines without Docker.
    Research and education only: not a diagnostic device.

    Flags are named as TensorFlow Serving's. Ctrl-C or SIGTERM stops it when what runs is done.
    """
    given = {name: value for name, value in flags.items() if value is not _UNSET}
    if not given.get("model_base_path") and not given.get("model_config_file"):
        raise click.UsageError("Give --model-base-path DIR or --model-config-file FILE.")
    base_path = given.get("model_base_path")
    if base_path and is_remote(base_path):
        raise click.BadParameter(
            f"takes what is on this machine: first {copying(base_path)}",
            param_hint="--model-base-path",
        )
    if base_path and not Path(base_path).is_dir():
        raise click.BadParameter(f"{base_path}: no such folder", param_hint="--model-base-path")
    if given.get("rest_api_port") == 0:  # as for TensorFlow Serving
        given["rest_api_port"] = None
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    click.echo("Loading; this takes some seconds.", err=True)
    _serve({"model_name": "cxr", **given}, stop)


def _serve(settings: dict[str, Any], stop: threading.Event) -> None:
    # Here, not above: the command's help should not wait for TensorFlow.
    from serving.saved_model import import_tensorflow

    import_tensorflow().get_logger().setLevel(logging.ERROR)
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("serving.server").setLevel(logging.INFO)
    from serving.prediction import PredictionError
    from serving.server.config import ServerConfig
    from serving.server.embedded import EmbeddedServer
    from serving.server.errors import StatusError

    try:
        server = EmbeddedServer(ServerConfig(**settings))
        server.start()
    except StatusError as error:
        raise InputError(f"the model cannot be loaded: {error}") from error
    except PredictionError as error:
        raise InputError(str(error)) from error
    try:
        _announce(server)
        stop.wait()
    finally:
        click.echo("Stopping: what runs is answered first.", err=True)
        server.stop()


def _announce(server: Any) -> None:
    scheme = "https" if server.config.ssl_config_file else "http"
    host = server.config.host
    click.echo("cxr's embedded server. It speaks TensorFlow Serving's protocols; it is not it.")
    for name, versions in server.models.available().items():
        found = ", ".join(map(str, versions)) or "none yet; served when one comes"
        click.echo(f"  model {name}: version {found}")
    click.echo(f"  gRPC  {host}:{server.grpc_port}")
    if server.rest_port is not None:
        click.echo(f"  REST  {scheme}://{host}:{server.rest_port}/v1/models")
        click.echo(f"  page  {scheme}://{host}:{server.rest_port}/")
    click.echo(DISCLAIMER)
