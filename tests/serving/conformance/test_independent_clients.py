"""Clients that were written elsewhere, for servers that were not ours."""

import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import classification_pb2, predict_pb2

from tests.serving.conformance.conftest import Endpoint

# In a process of its own: it brings protocol buffers of the same names, and TensorFlow's
# messages cannot be registered twice.
_OVMS = """
import json, sys
import numpy as np
import ovmsclient
address, protocol = sys.argv[1:]
make = ovmsclient.make_grpc_client if protocol == "grpc" else ovmsclient.make_http_client
client = make(address)
found = {
    "status": client.get_model_status("half_plus", 124),
    "metadata": client.get_model_metadata("half_plus", 123),
    "answer": np.asarray(
        client.predict({"x": np.float32([1, 2])}, "half_plus", model_version=123)
    ).tolist(),
}
try:
    client.predict({"x": np.float32([1])}, "half_plus")
except ovmsclient.ModelNotFoundError as error:
    found["without a version"] = str(error)
try:
    client.predict({"wrong": np.float32([1])}, "half_plus", model_version=123)
except ovmsclient.InvalidInputError as error:
    found["wrong input"] = str(error)
print(json.dumps(found, default=str))
"""


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_openvinos_client(endpoint: Endpoint, protocol: str) -> None:
    port = endpoint.grpc_port if protocol == "grpc" else endpoint.rest_port
    done = subprocess.run(
        [sys.executable, "-c", _OVMS, f"{endpoint.host}:{port}", protocol],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)

    assert found["answer"] == [2.5, 3.0]
    assert found["status"]["124"]["state"] == "AVAILABLE"
    assert found["status"]["124"]["error_code"] == 0
    if protocol == "grpc":
        assert found["metadata"]["model_version"] == 123
        assert set(found["metadata"]["inputs"]) == {"x"}
    else:  # the names are OpenVINO's in camel case, and otherwise passed through as they are
        assert found["metadata"]["model_spec"]["version"] == "123"
    # It sends its default, 0, as a version, and that one is not there.
    assert "Specific(half_plus, 0)" in found["without a version"]
    assert "input" in found["wrong input"].lower()


class TestTfxInfraValidatorsClient:
    @pytest.fixture
    def make(self, endpoint: Endpoint):
        from tfx.components.infra_validator.model_server_clients import tensorflow_serving_client

        return lambda name: tensorflow_serving_client.TensorFlowServingClient(endpoint.grpc, name)

    def test_it_finds_the_model_ready(self, make) -> None:
        from tfx.components.infra_validator import types

        assert make("toy")._GetServingStatus() == types.ModelServingStatus.READY
        assert make("no")._GetServingStatus() == types.ModelServingStatus.NOT_READY

    def test_its_requests_are_answered(self, make) -> None:
        predict = predict_pb2.PredictRequest()
        predict.model_spec.name = "half_plus"
        predict.inputs["x"].CopyFrom(tf.make_tensor_proto(np.float32([1])))
        classify = classification_pb2.ClassificationRequest()
        classify.model_spec.name = "toy"
        classify.model_spec.signature_name = "classify"
        example = classify.input.example_list.examples.add()
        example.features.feature["x"].float_list.value.append(1)

        make("toy").SendRequests([predict, classify])

    def test_it_notices_a_refusal(self, make) -> None:
        from tfx.components.infra_validator import error_types

        with pytest.raises(error_types.ValidationFailed):
            make("toy").SendRequests([predict_pb2.PredictRequest()])
