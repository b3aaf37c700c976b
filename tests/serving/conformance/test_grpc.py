"""PredictionService and ModelService, message by message."""

from typing import Any

import grpc
import numpy as np
import pytest
import tensorflow as tf
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    input_pb2,
    model_management_pb2,
    model_pb2,
    predict_pb2,
    regression_pb2,
)

from tests.serving.conformance.conftest import Endpoint
from tests.serving.conformance.models import OFFSETS

State = get_model_status_pb2.ModelVersionStatus.State
INVALID_ARGUMENT = grpc.StatusCode.INVALID_ARGUMENT
NOT_FOUND = grpc.StatusCode.NOT_FOUND
FAILED_PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION


def spec(
    name: str = "half_plus",
    *,
    version: int | None = None,
    label: str | None = None,
    signature: str = "",
) -> model_pb2.ModelSpec:
    made = model_pb2.ModelSpec(name=name, signature_name=signature)
    if version is not None:
        made.version.value = version
    if label is not None:
        made.version_label = label
    return made


def predict_request(
    model_spec: model_pb2.ModelSpec, *output_filter: str, **inputs: Any
) -> predict_pb2.PredictRequest:
    request = predict_pb2.PredictRequest(model_spec=model_spec, output_filter=output_filter)
    for name, value in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    return request


def example(**features: float) -> tf.train.Example:
    made = tf.train.Example()
    for name, value in features.items():
        made.features.feature[name].float_list.value.append(value)
    return made


def examples(*values: float) -> input_pb2.Input:
    listed = input_pb2.ExampleList(examples=[example(x=value) for value in values])
    return input_pb2.Input(example_list=listed)


def refusal(method: Any, request: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as e:
        method(request, timeout=30)
    return e.value.code(), e.value.details()


X = np.array([0, 1, 2.5], np.float32)


class TestPredict:
    @pytest.mark.parametrize(
        ("choice", "version"),
        [
            ({}, 124),
            ({"version": 123}, 123),
            ({"version": 124}, 124),
            ({"label": "stable"}, 123),
            ({"label": "canary"}, 124),
            ({"signature": "serving_default"}, 124),
        ],
        ids=str,
    )
    def test_the_version_that_is_asked_for_answers(
        self, predictions: Any, choice: dict[str, Any], version: int
    ) -> None:
        response = predictions.Predict(predict_request(spec(**choice), x=X))

        np.testing.assert_allclose(tf.make_ndarray(response.outputs["y"]), X / 2 + OFFSETS[version])
        assert response.model_spec.name == "half_plus"
        assert response.model_spec.version.value == version
        assert response.model_spec.signature_name == "serving_default"

    def test_tensors_come_in_typed_fields_and_as_content(self, predictions: Any) -> None:
        request = predict_request(spec(), x=X)
        assert request.inputs["x"].tensor_content
        typed = predict_pb2.PredictRequest(model_spec=spec())
        typed.inputs["x"].dtype = tf.float32.as_datatype_enum
        typed.inputs["x"].tensor_shape.dim.add(size=3)
        typed.inputs["x"].float_val.extend(X)

        answers = [predictions.Predict(one).outputs["y"] for one in (request, typed)]

        assert answers[0] == answers[1]
        assert list(answers[0].float_val) == [3, 3.5, 4.25]

    def test_all_outputs_without_a_filter_and_the_filtered_with_one(self, predictions: Any) -> None:
        images = {"image_bytes": [b"\x00\xff", b""]}
        everything = predictions.Predict(predict_request(spec("toy"), **images)).outputs
        filtered = predictions.Predict(predict_request(spec("toy"), "length", **images)).outputs

        assert set(everything) == {"length", "copy_bytes", "text"}
        assert list(everything["copy_bytes"].string_val) == [b"\x00\xff", b""]
        assert set(filtered) == {"length"}
        assert list(tf.make_ndarray(filtered["length"])) == [2, 0]

    @pytest.mark.parametrize(
        ("signature", "inputs"),
        [
            ("pair", {"a": np.float32([1, 2]), "b": np.int32([3, 4])}),
            ("scalar", {"x": np.float32(1)}),
            ("types", {"small": np.uint8([0, 255]), "on": np.array([True, False])}),
            ("half", {"x": np.float16([0.5])}),
            ("matrix", {"x": np.zeros((0, 2), np.float32)}),
        ],
    )
    def test_every_type_and_shape_passes(
        self, predictions: Any, signature: str, inputs: dict[str, Any]
    ) -> None:
        request = predict_request(spec("toy", signature=signature), **inputs)
        outputs = {k: tf.make_ndarray(v) for k, v in predictions.Predict(request).outputs.items()}
        expected = {
            "pair": {"sum": [4, 6], "double": [6, 8]},
            "scalar": {"y": 2},
            "types": {"small": [0, 255], "on": [False, True]},
            "half": {"y": [0.5]},
            "matrix": {"y": np.zeros((0, 2))},
        }[signature]
        assert set(outputs) == set(expected)
        for name, value in expected.items():
            np.testing.assert_array_equal(outputs[name], value)

    @pytest.mark.parametrize(
        ("request_", "code", "words"),
        [
            (predict_pb2.PredictRequest(), INVALID_ARGUMENT, "Missing ModelSpec"),
            (predict_request(spec(""), x=X), INVALID_ARGUMENT, "ModelSpec has no name specified."),
            (predict_request(spec("no"), x=X), NOT_FOUND, "for request: Latest(no)"),
            (
                predict_request(spec(version=7), x=X),
                NOT_FOUND,
                "for request: Specific(half_plus, 7)",
            ),
            # 0 is a version like any other.
            (predict_request(spec(version=0), x=X), NOT_FOUND, "Specific(half_plus, 0)"),
            (
                predict_request(spec(label="no"), x=X),
                INVALID_ARGUMENT,
                "Unrecognized servable version label: no",
            ),
            (
                predict_request(spec(signature="no"), x=X),
                FAILED_PRECONDITION,
                'Serving signature key "no" not found.',
            ),
            (
                predict_request(spec(), wrong=X),
                INVALID_ARGUMENT,
                "Sent extra: {wrong}. Missing but required: {x}.",
            ),
            (
                predict_request(spec()),
                INVALID_ARGUMENT,
                "input size does not match signature: 0!=1",
            ),
            (predict_request(spec(), "no", x=X), INVALID_ARGUMENT, "alias not found in signature"),
            (
                predict_request(spec(), "y", "y", x=X),
                INVALID_ARGUMENT,
                "duplicate output tensor alias: y",
            ),
            (predict_request(spec(), x=["text"]), INVALID_ARGUMENT, ""),
            (predict_request(spec(), x=np.float64([1])), INVALID_ARGUMENT, ""),
            (
                predict_request(spec("toy", signature="matrix"), x=np.float32([[1, 2, 3]])),
                INVALID_ARGUMENT,
                "",
            ),
        ],
        ids=str,
    )
    def test_errors(
        self, predictions: Any, request_: Any, code: grpc.StatusCode, words: str
    ) -> None:
        got, message = refusal(predictions.Predict, request_)
        assert got == code
        assert words in message

    def test_a_tensor_that_contradicts_itself_is_refused(self, predictions: Any) -> None:
        request = predict_request(spec(), x=X)
        request.inputs["x"].tensor_content = b"\x00" * 7
        assert refusal(predictions.Predict, request)[0] == INVALID_ARGUMENT

    def test_a_deadline_that_is_over_is_deadline_exceeded(self, predictions: Any) -> None:
        # Too much to be sent in a millisecond.
        request = predict_request(spec("toy"), image_bytes=[b"\x00" * 30_000_000])
        with pytest.raises(grpc.RpcError) as e:
            predictions.Predict(request, timeout=1e-3)
        assert e.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED

    def test_messages_of_more_than_four_megabytes_pass(self, endpoint: Endpoint) -> None:
        from tensorflow_serving.apis import prediction_service_pb2_grpc

        heavy = b"\x00" * 6_000_000
        options = [("grpc.max_receive_message_length", -1)]
        with grpc.insecure_channel(endpoint.grpc, options) as channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            response = stub.Predict(predict_request(spec("toy"), image_bytes=[heavy]))
        assert response.outputs["copy_bytes"].string_val[0] == heavy


class TestClassifyAndRegress:
    def test_classes_and_scores_of_each_example(self, predictions: Any) -> None:
        request = classification_pb2.ClassificationRequest(
            model_spec=spec("toy", signature="classify"), input=examples(0.75, 0)
        )
        response = predictions.Classify(request)
        found = [
            [(one.label, one.score) for one in row.classes]
            for row in response.result.classifications
        ]
        assert found == [[("yes", 0.75), ("no", 0.25)], [("yes", 0), ("no", 1)]]
        assert response.model_spec.version.value == 1
        assert response.model_spec.signature_name == "classify"

    def test_a_value_for_each_example(self, predictions: Any) -> None:
        request = regression_pb2.RegressionRequest(
            model_spec=spec("toy", signature="regress"), input=examples(1, 3)
        )
        response = predictions.Regress(request)
        assert [one.value for one in response.result.regressions] == [0.5, 1.5]

    def test_the_context_belongs_to_every_example(self, predictions: Any) -> None:
        with_context = input_pb2.ExampleListWithContext(
            examples=[tf.train.Example(), tf.train.Example()], context=example(x=4)
        )
        request = regression_pb2.RegressionRequest(
            model_spec=spec("toy", signature="regress"),
            input=input_pb2.Input(example_list_with_context=with_context),
        )
        response = predictions.Regress(request)
        assert [one.value for one in response.result.regressions] == [2, 2]

    @pytest.mark.parametrize(
        ("signature", "given", "code", "words"),
        [
            ("no", examples(1), INVALID_ARGUMENT, "No signature was found with the name: no"),
            ("classify", examples(), INVALID_ARGUMENT, "Input is empty"),
            ("classify", input_pb2.Input(), INVALID_ARGUMENT, "Input is empty"),
            ("echo", examples(1), INVALID_ARGUMENT, ""),
            ("regress", examples(1), INVALID_ARGUMENT, ""),
            (
                "classify",
                input_pb2.Input(example_list=input_pb2.ExampleList(examples=[example(z=1)])),
                INVALID_ARGUMENT,
                "x",
            ),
        ],
        ids=["no signature", "no examples", "no input", "no Examples", "no classes", "no feature"],
    )
    def test_errors(
        self,
        predictions: Any,
        signature: str,
        given: input_pb2.Input,
        code: grpc.StatusCode,
        words: str,
    ) -> None:
        request = classification_pb2.ClassificationRequest(
            model_spec=spec("toy", signature=signature), input=given
        )
        got, message = refusal(predictions.Classify, request)
        assert got == code
        assert words in message


def task(method: str, signature: str, name: str = "toy") -> inference_pb2.InferenceTask:
    return inference_pb2.InferenceTask(
        model_spec=spec(name, signature=signature), method_name=f"tensorflow/serving/{method}"
    )


class TestMultiInference:
    def test_several_signatures_answer_for_one_input(self, predictions: Any) -> None:
        request = inference_pb2.MultiInferenceRequest(
            tasks=[task("classify", "classify"), task("regress", "regress")], input=examples(0.5)
        )
        classified, regressed = predictions.MultiInference(request).results

        (row,) = classified.classification_result.classifications
        assert [one.score for one in row.classes] == [0.5, 0.5]
        assert regressed.regression_result.regressions[0].value == 0.25
        assert regressed.model_spec.signature_name == "regress"

    @pytest.mark.parametrize(
        ("tasks", "code"),
        [
            ([], INVALID_ARGUMENT),
            ([task("classify", "classify"), task("classify", "classify")], INVALID_ARGUMENT),
            ([task("classify", "classify"), task("regress", "x", "half_plus")], INVALID_ARGUMENT),
            ([task("predict", "serving_default")], grpc.StatusCode.UNIMPLEMENTED),
        ],
        ids=["none", "twice", "two models", "predict"],
    )
    def test_errors(self, predictions: Any, tasks: list[Any], code: grpc.StatusCode) -> None:
        request = inference_pb2.MultiInferenceRequest(tasks=tasks, input=examples(1))
        assert refusal(predictions.MultiInference, request)[0] == code


def metadata_request(*fields: str, name: str = "toy") -> Any:
    return get_model_metadata_pb2.GetModelMetadataRequest(
        model_spec=spec(name), metadata_field=fields
    )


class TestMetadata:
    def test_the_signatures_are_told(self, predictions: Any) -> None:
        response = predictions.GetModelMetadata(metadata_request("signature_def"))
        signatures = get_model_metadata_pb2.SignatureDefMap()
        assert response.metadata["signature_def"].Unpack(signatures)

        pair = signatures.signature_def["pair"]
        assert {name: info.dtype for name, info in pair.inputs.items()} == {
            "a": tf.float32.as_datatype_enum,
            "b": tf.int32.as_datatype_enum,
        }
        assert response.model_spec.version.value == 1

    @pytest.mark.parametrize(
        ("request_", "code", "words"),
        [
            (metadata_request("no"), INVALID_ARGUMENT, "Metadata field no is not supported"),
            (metadata_request(), INVALID_ARGUMENT, "must specify at least one metadata_field"),
            (metadata_request("signature_def", name="no"), NOT_FOUND, "Latest(no)"),
        ],
        ids=["unknown field", "no field", "unknown model"],
    )
    def test_errors(
        self, predictions: Any, request_: Any, code: grpc.StatusCode, words: str
    ) -> None:
        got, message = refusal(predictions.GetModelMetadata, request_)
        assert got == code
        assert words in message


def status_request(**choice: Any) -> get_model_status_pb2.GetModelStatusRequest:
    return get_model_status_pb2.GetModelStatusRequest(model_spec=spec(**choice))


class TestStatus:
    # A label is ignored, as TensorFlow Serving does.
    @pytest.mark.parametrize(
        ("choice", "versions"),
        [({}, [124, 123]), ({"version": 123}, [123]), ({"label": "stable"}, [124, 123])],
        ids=str,
    )
    def test_versions_with_the_highest_first(
        self, model_service: Any, choice: dict[str, Any], versions: list[int]
    ) -> None:
        found = model_service.GetModelStatus(status_request(**choice)).model_version_status
        assert [one.version for one in found] == versions
        assert {one.state for one in found} == {State.AVAILABLE}
        assert {one.status.error_code for one in found} == {0}

    @pytest.mark.parametrize(
        ("choice", "words"),
        [
            ({"name": "no"}, "Could not find any versions of model no"),
            ({"version": 7}, "Could not find version 7 of model half_plus"),
        ],
        ids=str,
    )
    def test_errors(self, model_service: Any, choice: dict[str, Any], words: str) -> None:
        code, message = refusal(model_service.GetModelStatus, status_request(**choice))
        assert code == NOT_FOUND
        assert words in message

    @pytest.mark.parametrize("service", ["", "PredictionService", "ModelService"])
    def test_health(self, channel: grpc.Channel, service: str) -> None:
        stub = health_pb2_grpc.HealthStub(channel)
        response = stub.Check(health_pb2.HealthCheckRequest(service=service))
        assert response.status == health_pb2.HealthCheckResponse.SERVING


class TestReload:
    @pytest.fixture
    def reload(self, endpoint: Endpoint, model_service: Any) -> Any:
        """Sends a list of models; the suite's own are restored in the end."""
        if endpoint.models is None:
            pytest.skip("CXR_SERVING_MODELS is not set")

        def send(*models: dict[str, Any], **options: Any) -> Any:
            request = model_management_pb2.ReloadConfigRequest(**options)
            request.config.model_config_list.SetInParent()
            for one in models:
                request.config.model_config_list.config.add(**one)
            return model_service.HandleReloadConfigRequest(request, timeout=60)

        yield send
        send(*self.models(endpoint))

    def models(self, endpoint: Endpoint, *names: str, **changes: Any) -> list[dict[str, Any]]:
        every = {
            "half_plus": {
                "model_version_policy": {"all": {}},
                "version_labels": {"stable": 123, "canary": 124},
            },
            "toy": {},
        }
        return [
            {
                "name": name,
                "base_path": f"{endpoint.models}/{name}",
                "model_platform": "tensorflow",
                **every[name],
                **changes,
            }
            for name in names or every
        ]

    def test_it_replaces_all_models(
        self, reload: Any, endpoint: Endpoint, predictions: Any, model_service: Any
    ) -> None:
        (only,) = self.models(endpoint, "half_plus")
        response = reload(only, {**only, "name": "again"})

        assert response.status.error_code == 0
        answer = predictions.Predict(predict_request(spec("again", label="stable"), x=X))
        assert answer.outputs["y"].float_val[0] == OFFSETS[123]
        assert refusal(predictions.Predict, predict_request(spec("toy"), image_bytes=[b""])) == (
            NOT_FOUND,
            "Servable not found for request: Latest(toy)",
        )
        ended = model_service.GetModelStatus(status_request(name="toy")).model_version_status
        assert [one.state for one in ended] == [State.END]

    def test_labels_move_without_loading(
        self, reload: Any, endpoint: Endpoint, predictions: Any
    ) -> None:
        labels = {"stable": 124, "canary": 124}
        reload(*self.models(endpoint, "half_plus", version_labels=labels))
        response = predictions.Predict(predict_request(spec(label="stable"), x=X))
        assert response.model_spec.version.value == 124

    @pytest.mark.parametrize(
        ("changes", "code", "words"),
        [
            ({"base_path": "half_plus"}, INVALID_ARGUMENT, "to have an absolute path or URI; got"),
            ({"model_platform": ""}, INVALID_ARGUMENT, "model_platform"),
            ({"model_platform": "other"}, INVALID_ARGUMENT, ""),
            (
                {"version_labels": {"stable": 7}},
                FAILED_PRECONDITION,
                "Request to assign label to version 7 of model half_plus, which is not currently "
                "available for inference",
            ),
        ],
        ids=["relative", "no platform", "other platform", "label of nothing"],
    )
    def test_what_is_refused_is_told(
        self,
        reload: Any,
        endpoint: Endpoint,
        predictions: Any,
        changes: dict[str, Any],
        code: grpc.StatusCode,
        words: str,
    ) -> None:
        if changes.get("model_platform") == "other" and not endpoint.is_embedded:
            pytest.skip("which platforms there are is the server's own affair")
        with pytest.raises(grpc.RpcError) as e:
            reload(*self.models(endpoint, "half_plus", **changes))
        assert e.value.code() == code
        assert words in e.value.details()
        response = predictions.Predict(predict_request(spec(label="canary"), x=X))
        assert response.model_spec.version.value == 124

    def test_a_model_may_be_listed_once(self, reload: Any, endpoint: Endpoint) -> None:
        (only,) = self.models(endpoint, "half_plus")
        with pytest.raises(grpc.RpcError) as e:
            reload(only, only)
        assert e.value.code() == INVALID_ARGUMENT

    def test_a_custom_configuration_is_refused(self, model_service: Any) -> None:
        request = model_management_pb2.ReloadConfigRequest()
        request.config.custom_model_config.SetInParent()
        code, message = refusal(model_service.HandleReloadConfigRequest, request)
        assert code == INVALID_ARGUMENT
        assert "Only ModelConfigList is currently supported" in message
