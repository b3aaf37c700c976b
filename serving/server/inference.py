"""What PredictionService answers, apart from how requests arrive."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    inference_pb2,
    input_pb2,
    model_pb2,
    predict_pb2,
    regression_pb2,
)

from serving.server import image_limits, tensors
from serving.server.errors import Code, StatusError, invalid
from serving.server.servable import Servable, check_dtype

DEFAULT_SIGNATURE = "serving_default"
CLASSIFY_METHOD = "tensorflow/serving/classify"
REGRESS_METHOD = "tensorflow/serving/regress"

Arrays: TypeAlias = Mapping[str, NDArray[Any]]
# Feeds and fetches by the names of the graph's tensors, and the deadline: `Servable.run`.
Run: TypeAlias = Callable[
    [Mapping[str, NDArray[Any]], Sequence[str], float | None], list[NDArray[Any]]
]


@dataclass(frozen=True)
class Call:
    """How one request is to be run.

    Attributes:
      run: what runs the graph: the version's session itself, or the scheduler of batches.
      deadline: on `time.monotonic`'s clock; None for none.
      max_image_pixels: of one encoded image in a string input; 0 for no limit.
      as_content: answer tensors as bytes.
      answered: told the inputs and outputs of what was answered, by their names.
    """

    run: Run
    deadline: float | None = None
    max_image_pixels: int = 0
    as_content: bool = False
    answered: Callable[[Arrays, Arrays], None] | None = None


def predict(
    servable: Servable, request: predict_pb2.PredictRequest, call: Call
) -> predict_pb2.PredictResponse:
    """Answers Predict.

    Raises:
      StatusError: FAILED_PRECONDITION without the signature; INVALID_ARGUMENT where inputs,
        their types or the output filter do not fit it; what the model raises.
    """
    name = request.model_spec.signature_name or DEFAULT_SIGNATURE
    signature = servable.signature(name)
    if signature is None:
        raise StatusError(Code.FAILED_PRECONDITION, f'Serving signature key "{name}" not found.')
    arrays = {alias: tensors.to_array(alias, proto) for alias, proto in request.inputs.items()}
    outputs = run_signature(signature, arrays, call, request.output_filter)
    response = predict_pb2.PredictResponse(model_spec=_effective(servable, name))
    for alias, array in outputs.items():
        proto = tensors.to_proto(array, signature.outputs[alias].dtype, as_content=call.as_content)
        response.outputs[alias].CopyFrom(proto)
    return response


def run_signature(
    signature: Any, arrays: Arrays, call: Call, output_filter: Sequence[str] = ()
) -> dict[str, NDArray[Any]]:
    """Runs a SignatureDef on arrays by its inputs' names; an empty filter is all outputs.

    Raises:
      StatusError: see `predict`.
    """
    _check_inputs(signature, arrays)
    aliases = _outputs(signature, output_filter)
    feeds = {}
    for position, alias in enumerate(sorted(arrays)):
        check_dtype(position, arrays[alias], signature.inputs[alias].dtype)
        if call.max_image_pixels and arrays[alias].dtype == object:
            image_limits.check(arrays[alias].ravel(), call.max_image_pixels)
        feeds[signature.inputs[alias].name] = arrays[alias]
    fetched = call.run(feeds, [signature.outputs[alias].name for alias in aliases], call.deadline)
    outputs = dict(zip(aliases, fetched, strict=True))
    if call.answered:
        call.answered(arrays, outputs)
    return outputs


def _check_inputs(signature: Any, arrays: Arrays) -> None:
    sent, required = set(arrays), set(signature.inputs)
    if sent != required:
        raise invalid(
            f"input size does not match signature: {len(sent)}!={len(required)} "
            f"len({_set(sent)}) != len({_set(required)}). Sent extra: {_set(sent - required)}. "
            f"Missing but required: {_set(required - sent)}."
        )


def _outputs(signature: Any, output_filter: Sequence[str]) -> list[str]:
    for number, alias in enumerate(output_filter):
        if alias not in signature.outputs:
            raise invalid(
                f"output tensor alias not found in signature: {alias} Outputs expected to be in "
                f"the set {_set(signature.outputs)}."
            )
        if alias in output_filter[:number]:
            raise invalid(f"duplicate output tensor alias: {alias}")
    return list(output_filter) or sorted(signature.outputs)


def _set(names: Iterable[str]) -> str:
    return f"{{{','.join(sorted(names))}}}"


def _effective(servable: Servable, signature_name: str) -> model_pb2.ModelSpec:
    spec = model_pb2.ModelSpec(name=servable.name, signature_name=signature_name)
    spec.version.value = servable.version
    return spec


def classify(
    servable: Servable, request: classification_pb2.ClassificationRequest, call: Call
) -> classification_pb2.ClassificationResponse:
    """Answers Classify.

    Raises:
      StatusError: INVALID_ARGUMENT without the signature, without input, or where the
        signature does not classify; what the model raises.
    """
    name, signature = _example_signature(servable, request.model_spec.signature_name)
    if not {"classes", "scores"} & set(signature.outputs):
        raise invalid(
            f'Expected classification signature outputs to contain at least one of "classes" '
            f'or "scores". Signature was: {name}'
        )
    examples = _examples(request.input)
    wanted = [alias for alias in ("classes", "scores") if alias in signature.outputs]
    outputs = run_signature(signature, {"inputs": examples}, call, wanted)
    for alias, array in outputs.items():
        if array.ndim != 2 or len(array) != len(examples):
            raise invalid(
                f"Expected Tensor {alias} of shape [{len(examples)}, num_classes] but got "
                f"{list(array.shape)}"
            )
    response = classification_pb2.ClassificationResponse(model_spec=_effective(servable, name))
    labels, scores = outputs.get("classes"), outputs.get("scores")
    if labels is not None and scores is not None and labels.shape != scores.shape:
        raise invalid(f"Tensors class and score should match in shape: {labels.shape}")
    for row in range(len(examples)):
        classes = response.result.classifications.add().classes
        for column in range(next(iter(outputs.values())).shape[1]):
            one = classes.add()
            if labels is not None:
                one.label = labels[row, column]
            if scores is not None:
                one.score = scores[row, column]
    return response


def regress(
    servable: Servable, request: regression_pb2.RegressionRequest, call: Call
) -> regression_pb2.RegressionResponse:
    """Answers Regress.

    Raises:
      StatusError: as `classify` does, of a signature that does not regress.
    """
    name, signature = _example_signature(servable, request.model_spec.signature_name)
    if "outputs" not in signature.outputs:
        raise invalid(
            f'Expected regression signature outputs to contain "outputs". Signature was: {name}'
        )
    examples = _examples(request.input)
    values = run_signature(signature, {"inputs": examples}, call, ["outputs"])["outputs"]
    if values.shape not in {(len(examples),), (len(examples), 1)}:
        raise invalid(
            "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got "
            f"{list(values.shape)}"
        )
    response = regression_pb2.RegressionResponse(model_spec=_effective(servable, name))
    for value in values.ravel():
        response.result.regressions.add(value=value)
    return response


def multi_inference(
    servable: Servable, request: inference_pb2.MultiInferenceRequest, call: Call
) -> inference_pb2.MultiInferenceResponse:
    """Answers MultiInference: several classifications and regressions of the same input.

    Raises:
      StatusError: INVALID_ARGUMENT without tasks, with different models or the same
        signature twice; UNIMPLEMENTED for another method; what `classify` and `regress` raise.
    """
    check_tasks(request)
    response = inference_pb2.MultiInferenceResponse()
    for task in request.tasks:
        result = response.results.add()
        if task.method_name == CLASSIFY_METHOD:
            classification = classify(
                servable,
                classification_pb2.ClassificationRequest(
                    model_spec=task.model_spec, input=request.input
                ),
                call,
            )
            result.classification_result.CopyFrom(classification.result)
            result.model_spec.CopyFrom(classification.model_spec)
        else:
            regression = regress(
                servable,
                regression_pb2.RegressionRequest(model_spec=task.model_spec, input=request.input),
                call,
            )
            result.regression_result.CopyFrom(regression.result)
            result.model_spec.CopyFrom(regression.model_spec)
    return response


def check_tasks(request: inference_pb2.MultiInferenceRequest) -> None:
    """Refuses what no model could answer; see `multi_inference`."""
    if not request.tasks:
        raise invalid("MultiInferenceRequest has no tasks.")
    signatures = set()
    for task in request.tasks:
        if task.model_spec.name != request.tasks[0].model_spec.name:
            raise invalid(
                "All ModelSpecs in a MultiInferenceRequest must access the same model name."
            )
        name = task.model_spec.signature_name or DEFAULT_SIGNATURE
        if name in signatures:
            raise invalid(f"Duplicate evaluation of signature: {name}")
        signatures.add(name)
        if task.method_name not in (CLASSIFY_METHOD, REGRESS_METHOD):
            raise StatusError(
                Code.UNIMPLEMENTED, f"Unsupported signature method_name: {task.method_name}"
            )


def _example_signature(servable: Servable, name: str) -> tuple[str, Any]:
    name = name or DEFAULT_SIGNATURE
    signature = servable.signature(name)
    if signature is None:
        raise invalid(f"No signature was found with the name: {name}")
    if set(signature.inputs) != {"inputs"}:
        raise invalid(
            f'Expected one input Tensor named "inputs", got {_set(signature.inputs)}. '
            f"Signature was: {name}"
        )
    return name, signature


def _examples(request_input: input_pb2.Input) -> NDArray[np.object_]:
    if request_input.WhichOneof("kind") == "example_list_with_context":
        listed = request_input.example_list_with_context
        # Serialized messages add up: the features of both are in the sum.
        context = listed.context.SerializeToString()
        serialized = [context + example.SerializeToString() for example in listed.examples]
    else:
        serialized = [one.SerializeToString() for one in request_input.example_list.examples]
    if not serialized:
        raise invalid("Input is empty.")
    return np.array(serialized, object)


def metadata(
    servable: Servable, request: get_model_metadata_pb2.GetModelMetadataRequest
) -> get_model_metadata_pb2.GetModelMetadataResponse:
    """Answers GetModelMetadata; see `check_metadata_fields`."""
    check_metadata_fields(request)
    response = get_model_metadata_pb2.GetModelMetadataResponse(model_spec=_effective(servable, ""))
    signatures = get_model_metadata_pb2.SignatureDefMap()
    for name, signature in servable.meta_graph.signature_def.items():
        signatures.signature_def[name].CopyFrom(signature)
    response.metadata["signature_def"].Pack(signatures)
    return response


def check_metadata_fields(request: get_model_metadata_pb2.GetModelMetadataRequest) -> None:
    """Refuses metadata that there is not.

    Raises:
      StatusError: INVALID_ARGUMENT: no field, or another than "signature_def".
    """
    if not request.metadata_field:
        raise invalid("GetModelMetadataRequest must specify at least one metadata_field")
    for field in request.metadata_field:
        if field != "signature_def":
            raise invalid(f"Metadata field {field} is not supported")
