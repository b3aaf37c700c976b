"""Asks a model everything over gRPC, and judges the answers."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow_serving.apis import get_model_metadata_pb2, prediction_service_pb2_grpc

from components.infra_canary import questions, trial
from components.infra_canary.settings import InfraCanarySettings
from components.infra_canary.trial import Check
from serving.golden import DEFAULT_TOLERANCE, Golden

_LATENCY_REQUESTS = 9
_OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
_REFERENCE = "serving_default"
_COMPARED = (trial.PROBABILITY, "decision")


@dataclass(frozen=True)
class Subject:
    """A model on trial.

    Attributes:
      name: under which it is served.
      films: synthetic, encoded: those of its golden outputs or its warm-up file.
      golden: what the Trainer's own network makes of them.
      contract: its contract file.
    """

    name: str
    films: Sequence[bytes]
    golden: Golden | None
    contract: Mapping[str, Any]


def ask(endpoint: str, subject: Subject, settings: InfraCanarySettings) -> Iterator[Check]:
    """Ask everything; the first failure that leaves nothing to compare ends it.

    Args:
      endpoint: host and port of gRPC.
      subject: what is asked.
      settings: batches, and limits.

    Yields:
      A verdict for each thing that was asked.
    """
    if not subject.films:
        yield Check(
            name="films",
            verdict="refused",
            sentence="the model came without warm-up requests: there are no synthetic films to ask",
        )
        return
    with grpc.insecure_channel(endpoint, options=_OPTIONS) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        try:
            yield from _ask(stub, subject, settings)
        except grpc.RpcError as error:
            sentence = f"the server answers {error.code().name}: {error.details()}"
            yield Check(name="answers", verdict="refused", sentence=sentence)
        except (questions.CannotAskError, _AnswerError) as error:
            yield Check(name="answers", verdict="refused", sentence=str(error))


class _AnswerError(Exception):
    """A signature that fails; says which, and how."""


def _ask(stub: Any, subject: Subject, settings: InfraCanarySettings) -> Iterator[Check]:
    inputs = questions.inputs_of(_signatures(stub, subject.name, settings.request_seconds))
    signatures = trial.check_signatures(questions.promised(subject.contract), list(inputs))
    yield signatures
    if signatures.verdict == "refused":
        return
    answers = {
        (signature, size): _predict(stub, subject, signature, input_name, size, settings)
        for signature, input_name in inputs.items()
        for size in settings.batch_sizes
        if size <= len(subject.films)
    }
    numbers = trial.check_finite(answers)
    yield numbers
    if numbers.verdict == "refused":
        return
    limit = subject.golden.tolerance if subject.golden else DEFAULT_TOLERANCE
    singly, milliseconds = _one_by_one(stub, subject, inputs[_REFERENCE], settings)
    probability, decision = (np.stack([one[name] for one in singly]) for name in _COMPARED)
    yield trial.check_agreement(probability, answers, limit)
    yield trial.check_golden(probability, decision, subject.golden, subject.contract)
    yield trial.check_latency(milliseconds, settings.max_milliseconds)


def _signatures(stub: Any, model: str, seconds: float) -> Mapping[str, Any]:
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = model
    response = stub.GetModelMetadata(request, timeout=seconds)
    found = get_model_metadata_pb2.SignatureDefMap()
    response.metadata["signature_def"].Unpack(found)
    return found.signature_def


def _predict(
    stub: Any,
    subject: Subject,
    signature: str,
    input_name: str,
    size: int,
    settings: InfraCanarySettings,
) -> dict[str, NDArray]:
    request = questions.predict_request(subject.name, signature, input_name, subject.films[:size])
    try:
        response = stub.Predict(request, timeout=settings.request_seconds)
    except grpc.RpcError as error:
        raise _AnswerError(
            f"{signature} in a batch of {size}: {error.code().name}: {error.details()}"
        ) from error
    return {name: tf.make_ndarray(tensor) for name, tensor in response.outputs.items()}


def _one_by_one(
    stub: Any, subject: Subject, input_name: str, settings: InfraCanarySettings
) -> tuple[list[dict[str, NDArray]], list[float]]:
    """Each film's answer, and what a request takes in milliseconds."""
    answers, milliseconds = [], []
    for number in range(max(_LATENCY_REQUESTS, len(subject.films))):
        film = subject.films[number % len(subject.films)]
        request = questions.predict_request(subject.name, _REFERENCE, input_name, [film])
        started = time.perf_counter()
        response = stub.Predict(request, timeout=settings.request_seconds)
        milliseconds.append((time.perf_counter() - started) * 1000)
        answers.append({name: tf.make_ndarray(response.outputs[name])[0] for name in _COMPARED})
    return answers[: len(subject.films)], milliseconds
