"""The settings of the embedded server, named as TensorFlow Serving's flags are."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from serving.server.errors import ServerConfigError

CORES = os.cpu_count() or 1
_MIB = 2**20


@dataclass(frozen=True, kw_only=True)
class ServerConfig:
    """Everything that can be set; the defaults are TensorFlow Serving's where it has the flag.

    Raises:
      ServerConfigError: from the constructor: settings that contradict each other.

    Attributes:
      host: the interface to listen on; loopback, so that nobody else is served by accident.
      port: of gRPC; 0 for any that is free.
      rest_api_port: of REST and the page; 0 for any that is free, None for no REST. On the
        command line 0 is no REST, as it is for TensorFlow Serving.
      model_name: of the one model at `model_base_path`.
      model_base_path: the folder of its versions.
      model_config_file: a ModelServerConfig in text form, instead of the two above.
      model_config_file_poll_wait_seconds: how often that file is read again; 0 for once.
      file_system_poll_wait_seconds: how often versions are looked for; 0 for once, and less
        than 0 for never.
      max_num_load_retries: how often a version that failed to load is tried again.
      load_retry_interval_micros: between the tries. One second, where TensorFlow Serving
        waits a minute.
      allow_version_labels_for_unavailable_models: lets new labels point at what is not there.
      enable_model_warmup: run the version's own warm-up requests before it is available.
      saved_model_tags: of the graph to load, with commas between.
      tensorflow_intra_op_parallelism: threads of one operation; 0 for all the cores.
      tensorflow_inter_op_parallelism: operations at once; 0 for all the cores.
      rest_api_timeout_in_ms: what a REST request may take, in all.
      rest_api_enable_cors_support: answer browsers of other origins.
      max_request_bytes: of one message or body, decompressed.
      max_image_pixels: of one encoded image, told by its header; 0 for no limit.
      max_running_requests: how many may run in TensorFlow at once.
      max_queued_requests: how many may wait for their turn; the next is refused with
        RESOURCE_EXHAUSTED, or HTTP 429.
      client_timeout_seconds: how long a connection may be idle, or a request take to arrive.
      enable_batching: run the requests of several clients together.
      batching_parameters_file: BatchingParameters in text form.
      monitoring_config_file: MonitoringConfig in text form: Prometheus' path.
      enable_prometheus: the same without a file, at TensorFlow Serving's usual path.
      ssl_config_file: SSLConfig in text form; encrypts both ports.
      request_log_dir: where scalars and scores of what was answered are logged, never pixels;
        None for no log.
      request_log_sampling: the share of the images that are logged, on (0, 1].
      enable_grpc_healthcheck_service: on, where TensorFlow Serving has it off.
      enable_serialization_as_tensor_content: answer tensors as bytes, not as typed values.
      grace_seconds: how long requests that run may take when the server is told to stop.
    """

    host: str = "127.0.0.1"
    port: int = 8500
    rest_api_port: int | None = 8501
    model_name: str = "default"
    model_base_path: str = ""
    model_config_file: Path | None = None
    model_config_file_poll_wait_seconds: float = 0.0
    file_system_poll_wait_seconds: float = 1.0
    max_num_load_retries: int = 5
    load_retry_interval_micros: int = 1_000_000
    allow_version_labels_for_unavailable_models: bool = False
    enable_model_warmup: bool = True
    saved_model_tags: str = "serve"
    tensorflow_intra_op_parallelism: int = 0
    tensorflow_inter_op_parallelism: int = 0
    rest_api_timeout_in_ms: int = 30_000
    rest_api_enable_cors_support: bool = False
    max_request_bytes: int = 128 * _MIB
    max_image_pixels: int = 50_000_000
    max_running_requests: int = field(default=CORES)
    max_queued_requests: int = 64
    client_timeout_seconds: float = 30.0
    enable_batching: bool = False
    batching_parameters_file: Path | None = None
    monitoring_config_file: Path | None = None
    enable_prometheus: bool = False
    ssl_config_file: Path | None = None
    request_log_dir: Path | None = None
    request_log_sampling: float = 1.0
    enable_grpc_healthcheck_service: bool = True
    enable_serialization_as_tensor_content: bool = False
    grace_seconds: float = 30.0

    def __post_init__(self) -> None:
        """Refuses what cannot be meant."""
        if not self.model_base_path and self.model_config_file is None:
            raise ServerConfigError("give model_base_path or model_config_file: what to serve")
        if self.batching_parameters_file and not self.enable_batching:
            raise ServerConfigError("batching_parameters_file needs enable_batching")
        for name in ("max_request_bytes", "max_running_requests", "client_timeout_seconds"):
            if getattr(self, name) <= 0:
                raise ServerConfigError(f"{name} must be more than 0")
        for name in (
            "max_queued_requests",
            "max_image_pixels",
            "max_num_load_retries",
            "load_retry_interval_micros",
            "grace_seconds",
        ):
            if getattr(self, name) < 0:
                raise ServerConfigError(f"{name} must not be less than 0")
