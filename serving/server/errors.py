"""What goes wrong while serving, with the status that both protocols answer with."""

from __future__ import annotations

import grpc

from serving.prediction import PredictionError

Code = grpc.StatusCode

_MAX_MESSAGE = 1024
_HTTP_STATUS = {
    Code.OK: 200,
    Code.CANCELLED: 499,
    Code.UNKNOWN: 500,
    Code.INVALID_ARGUMENT: 400,
    Code.DEADLINE_EXCEEDED: 504,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.PERMISSION_DENIED: 403,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.FAILED_PRECONDITION: 400,
    Code.ABORTED: 409,
    Code.OUT_OF_RANGE: 400,
    Code.UNIMPLEMENTED: 501,
    Code.INTERNAL: 500,
    Code.UNAVAILABLE: 503,
    Code.DATA_LOSS: 500,
    Code.UNAUTHENTICATED: 401,
}
_BY_NUMBER = {code.value[0]: code for code in Code}


class ServerConfigError(PredictionError):
    """A flag, or a file that a flag names, cannot be used; the message says which."""


class StatusError(PredictionError):
    """A request, or a version, that fails with a status of gRPC.

    Attributes:
      code: gRPC's code; `http_status` is what REST makes of it.
      message: as clients see it, cut at 1024 characters as TensorFlow Serving does.
    """

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        if len(message) > _MAX_MESSAGE:
            message = message[:_MAX_MESSAGE] + "...TRUNCATED"
        super().__init__(message)
        self.code = code
        self.message = message

    @property
    def http_status(self) -> int:
        """TensorFlow Serving's HTTP status for the code."""
        return _HTTP_STATUS[self.code]

    @property
    def number(self) -> int:
        """The code as a number, which is TensorFlow's `error_code` too."""
        return self.code.value[0]


def invalid(message: str) -> StatusError:
    """The error of a request that cannot be answered whatever the server's state is."""
    return StatusError(Code.INVALID_ARGUMENT, message)


def code_of(number: int) -> grpc.StatusCode:
    """gRPC's code for one of TensorFlow's error codes, which share their numbers."""
    return _BY_NUMBER.get(number, Code.UNKNOWN)
