"""Every error that `serving` raises on purpose, and the cause in TensorFlow's messages."""

from __future__ import annotations

import re

from serving.prediction.answers import Failure


class PredictionError(Exception):
    """Base of every error that `serving` raises on purpose."""


class ImagesNotFoundError(PredictionError):
    """A path that does not exist, or a folder without images."""


class BadImageError(PredictionError):
    """One or more images cannot be read, decoded or scored.

    Attributes:
      failures: one per bad image.
    """

    def __init__(self, *failures: Failure) -> None:
        super().__init__("; ".join(str(failure) for failure in failures))
        self.failures = failures


class BatchRefusedError(PredictionError):
    """The model refused a batch because of its images; `Predictor` finds out which."""


class ModelNotFoundError(PredictionError):
    """No model, version or version label by that name."""


class ModelContractError(PredictionError):
    """A model was found, but its signature is not the one that `serving` speaks."""


class MissingSignatureError(ModelContractError):
    """The model lacks a signature, such as `explain`; the message names it."""


class MissingOutputError(ModelContractError, KeyError):
    """The model's answer lacks an output; the message names those it has."""

    # KeyError shows the repr of its argument, which would put the message in quotes.
    __str__ = Exception.__str__


def refusal(message: str) -> str:
    """The cause in an error message of TensorFlow's, without the graph around it."""
    bare = re.sub(r"\{\{function_node [^}]*\}\}|\[\[.*?\]\]|\[Op:[^]]*\]", "", message)
    lines = [re.sub(r"^\(\d+\)\s+[A-Z_]+:", "", line.strip()).strip() for line in bare.splitlines()]
    causes = [line for line in lines if line and not _GRAPH_CHATTER.match(line)]
    return " ".join(dict.fromkeys(causes)) or message.strip()


_GRAPH_CHATTER = re.compile(
    r"Graph execution error|Detected at node|<stack traces|Function call stack|File \"|"
    r"\d+ (root error|successful operations|derived errors)"
)
