"""Clients of model servers: the same predictions over gRPC or REST, waited for or awaited.

They speak TensorFlow Serving's protocols, which OpenVINO Model Server and `cxr serve` speak too.
All are predictors (`serving.prediction`), so a bad image costs only its own answer, and all
translate the server's status codes into the same typed errors. A server that is busy or away is
asked again. Those that are awaited are in `serving.client.aio`.
"""

from serving.client.errors import (
    DeadlineExceededError,
    ServerBusyError,
    ServerError,
    ServerUnreachableError,
)
from serving.client.sync import GrpcClient, RestClient, ServingClient
from serving.client.target import DEFAULT_MODEL_NAME, DEFAULT_TIMEOUT_SECONDS

__all__ = [
    "DEFAULT_MODEL_NAME",
    "DEFAULT_TIMEOUT_SECONDS",
    "DeadlineExceededError",
    "GrpcClient",
    "RestClient",
    "ServerBusyError",
    "ServerError",
    "ServerUnreachableError",
    "ServingClient",
]
