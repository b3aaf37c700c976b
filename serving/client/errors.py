"""What can go wrong between a client and a server, out of the server's words."""

from __future__ import annotations

import re

from serving.prediction import BatchRefusedError, ModelNotFoundError, PredictionError, refusal


class ServerUnreachableError(PredictionError):
    """Nothing answers at the address."""


class DeadlineExceededError(PredictionError):
    """The answer did not come within the client's or the server's time limit."""


class ServerError(PredictionError):
    """The server answered with an error of its own, or not as TensorFlow Serving does."""


class ServerBusyError(ServerError):
    """The server has more to do than it takes on, also after the client asked again."""


# What may be over when the server is asked again.
TRANSIENT = (ServerUnreachableError, ServerBusyError)

# INVALID_ARGUMENT stands for two things: a request that no image could save, of which these are
# the messages of TensorFlow Serving and, in the last lines, of OpenVINO Model Server, and an
# image that the graph cannot decode, whose messages are as many as there are decoders. The
# first kind is the one that can be listed.
_FAULTY_REQUEST = re.compile(
    r"Missing ModelSpec|ModelSpec has no name|input size does not match signature|"
    r"(in|out)put tensor alias|Expects arg\[|"
    r"Batching Run\(\)|Missing 'inputs'|JSON|Failed to process element|instances is a plain|"
    r"Malformed request|Failed to convert version|"
    r"Missing input with specific name|Invalid number of (inputs|shape)|"
    r"Invalid input (precision|shape)"
)
_TOO_LARGE = re.compile(r"message larger than max|larger than maximum|too large", re.IGNORECASE)


def invalid_argument(model: str, message: str) -> PredictionError:
    """Whether it is the request's fault, or an image's."""
    if message.startswith("Unrecognized servable version label"):
        return ModelNotFoundError(f"{model}: {message}")
    if _FAULTY_REQUEST.search(message):
        return ServerError(f"{model}: the request does not fit the model: {message}")
    return BatchRefusedError(refusal(message))


def exhausted(model: str, message: str) -> PredictionError:
    """Whether the server has too much to do, or was sent too much at once."""
    if _TOO_LARGE.search(message):
        return BatchRefusedError(message)
    return ServerBusyError(f"{model}: the server is busy: {message}")


def is_missing_signature(message: str) -> bool:
    """Whether the model lacks the signature that it was asked for."""
    return (
        re.search(r"Serving signature.*not found|not found in signature def", message) is not None
    )


def is_overload(message: str) -> bool:
    """Whether a server that is not available has merely a full queue."""
    return message.startswith("The batch scheduling queue")
