"""The REST API: routes, JSON for tensors and Examples, and its errors."""

import gzip
import json
from typing import Any

import pytest
import requests

from tests.serving.conformance.conftest import Ask, Endpoint

TOO_LARGE = 2**63


class TestRoutes:
    @pytest.mark.parametrize(
        ("path", "answer"),
        [
            ("half_plus", 3.5),
            ("half_plus/versions/123", 2.5),
            ("half_plus/versions/124", 3.5),
            ("half_plus/labels/stable", 2.5),
            ("half%5Fplus", 3.5),
        ],
    )
    def test_the_version_that_is_asked_for_answers(
        self, post: Ask, path: str, answer: float
    ) -> None:
        response = post(f"{path}:predict", {"instances": [1.0]})
        assert response.status_code == 200
        assert response.headers["Content-Type"].startswith("application/json")
        assert response.json() == {"predictions": [answer]}

    def test_letters_of_either_case(self, endpoint: Endpoint) -> None:
        url = f"{endpoint.rest}/V1/Models/half_plus/Versions/123:Predict"
        response = requests.post(url, json={"instances": [1.0]}, timeout=30)
        assert response.json() == {"predictions": [2.5]}

    @pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded"])
    def test_the_content_type_does_not_matter(self, post: Ask, content_type: str) -> None:
        response = post(
            "half_plus:predict", b'{"instances": [1.0]}', headers={"Content-Type": content_type}
        )
        assert response.json() == {"predictions": [3.5]}

    def test_bodies_may_be_compressed(self, post: Ask) -> None:
        body = gzip.compress(b'{"instances": [1.0]}')
        response = post("half_plus:predict", body, headers={"Content-Encoding": "gzip"})
        assert response.json() == {"predictions": [3.5]}

    @pytest.mark.parametrize(
        ("method", "path", "status", "words"),
        [
            ("GET", "/v1/foo", 400, "Malformed request: GET /v1/foo"),
            ("POST", "/v1/models/half_plus", 400, "Malformed request: POST"),
            ("GET", "/v1/models/half_plus:predict", 400, "Malformed request: GET"),
            ("POST", "/v1/models/half_plus:run", 400, "Malformed request: POST"),
            ("PUT", "/v1/models/half_plus:predict", 400, "Malformed request: PUT"),
            ("POST", "/v1/models/half_plus/versions/x:predict", 400, "Malformed request: POST"),
            ("GET", "/v1/models", 400, "Missing model name in request."),
            ("GET", "/v1/models/no", 404, "Could not find any versions of model no"),
            ("GET", "/v1/models/half_plus/versions/7", 404, "Could not find version 7 of model"),
            ("GET", f"/v1/models/half_plus/versions/{TOO_LARGE}", 400, "Failed to convert version"),
            ("GET", "/v1/models/no/metadata", 404, "Servable not found for request: Latest(no)"),
            ("GET", "/elsewhere", 404, ""),
        ],
    )
    def test_errors(
        self, endpoint: Endpoint, method: str, path: str, status: int, words: str
    ) -> None:
        response = requests.request(method, f"{endpoint.rest}{path}", timeout=30)
        assert response.status_code == status
        assert words in (response.json()["error"] if words else response.text)

    def test_status(self, get: Ask) -> None:
        versions = [
            {
                "version": version,
                "state": "AVAILABLE",
                "status": {"error_code": "OK", "error_message": ""},
            }
            for version in ("124", "123")
        ]
        for path, expected in (
            ("/v1/models/half_plus", versions),
            ("/v1/models/half_plus/versions/123", versions[1:]),
            ("/v1/models/half_plus/labels/stable", versions),
        ):
            assert get(path).json() == {"model_version_status": expected}

    def test_metadata_is_nested_twice(self, get: Ask) -> None:
        answer = get("/v1/models/half_plus/versions/123/metadata").json()
        assert answer["model_spec"] == {
            "name": "half_plus",
            "signature_name": "",
            "version": "123",
        }
        signature = answer["metadata"]["signature_def"]["signature_def"]["serving_default"]
        assert signature["inputs"]["x"]["dtype"] == "DT_FLOAT"
        assert signature["inputs"]["x"]["tensor_shape"]["dim"] == [{"size": "-1", "name": ""}]
        assert signature["method_name"] == "tensorflow/serving/predict"


def signature(name: str, **body: Any) -> dict[str, Any]:
    return {"signature_name": name, **body}


class TestPredict:
    @pytest.mark.parametrize(
        ("body", "answer"),
        [
            # Rows: plain, as objects, and objects that are values.
            ({"instances": [0, 1.5]}, {"predictions": [3.0, 3.75]}),
            ({"instances": [{"x": 1}, {"x": 2}]}, {"predictions": [3.5, 4.0]}),
            # Columns: bare, and named; other names are ignored.
            ({"inputs": [1]}, {"outputs": [3.5]}),
            ({"inputs": {"x": [1], "other": 5}}, {"outputs": [3.5]}),
        ],
        ids=str,
    )
    def test_one_input(self, post: Ask, body: Any, answer: Any) -> None:
        assert post("half_plus:predict", body).json() == answer

    @pytest.mark.parametrize(
        ("body", "answer"),
        [
            (
                signature("pair", instances=[{"a": 1.5, "b": 2}, {"a": 0, "b": 3}]),
                {"predictions": [{"sum": 3.5, "double": 4}, {"sum": 3.0, "double": 6}]},
            ),
            (
                signature("pair", inputs={"a": [1.5], "b": [2]}),
                {"outputs": {"sum": [3.5], "double": [4]}},
            ),
            (signature("scalar", inputs={"x": 1}), {"outputs": 2.0}),
            (signature("scalar", inputs=1), {"outputs": 2.0}),
            (
                signature("matrix", instances=[[1, 2], [3, 4]]),
                {"predictions": [[-1, -2], [-3, -4]]},
            ),
            (
                signature("types", instances=[{"small": 255, "on": True}]),
                {"predictions": [{"small": 255, "on": False}]},
            ),
            (
                signature("echo", instances=[{"b64": "AP8="}]),
                {
                    "predictions": [
                        {"length": 2, "copy_bytes": {"b64": "AP8="}, "text": "\x00\ufffd"}
                    ]
                },
            ),
            (
                signature(
                    "echo", instances=[{"image_bytes": {"b64": "YQ=="}}, {"image_bytes": "é"}]
                ),
                {
                    "predictions": [
                        {"length": 1, "copy_bytes": {"b64": "YQ=="}, "text": "a"},
                        {"length": 2, "copy_bytes": {"b64": "w6k="}, "text": "é"},
                    ]
                },
            ),
        ],
        ids=str,
    )
    def test_other_signatures(self, post: Ask, endpoint: Endpoint, body: Any, answer: Any) -> None:
        if "\ufffd" in str(answer) and not endpoint.is_embedded:
            pytest.skip("TensorFlow Serving writes bytes that are no text as they are")
        response = post("toy:predict", body)
        assert response.status_code == 200
        assert response.json() == answer

    def test_not_a_number_and_infinity_go_in_and_out(self, post: Ask) -> None:
        response = post("half_plus:predict", b'{"instances": [NaN, Infinity, -Infinity]}')
        assert response.status_code == 200
        for name in ("NaN", "-Infinity"):
            assert name in response.text

    def test_what_follows_the_object_is_ignored(self, post: Ask) -> None:
        response = post("half_plus:predict", b'{"instances": [1]} and more')
        assert response.json() == {"predictions": [3.5]}

    def test_floats_have_the_digits_of_a_float32_and_a_decimal_point(self, post: Ask) -> None:
        text = post("toy:predict", signature("matrix", instances=[[-0.2, -3]])).text
        assert json.loads(text, parse_float=str) == {"predictions": [["0.2", "3.0"]]}

    @pytest.mark.parametrize(
        ("body", "words"),
        [
            (b"", "JSON Parse error: The document is empty"),
            (b"{", "JSON Parse error"),
            (b'{"instances": [1,,2]}', "JSON Parse error"),
            ({}, "Missing 'inputs' or 'instances' key"),
            ({"instances": [1], "inputs": [1]}, ""),
            ({"instances": []}, ""),
            ({"instances": 1}, ""),
            (
                {"instances": [1], "signature_name": 5},
                "'signature_name' key must be a string value.",
            ),
            (
                {"instances": [1], "signature_name": "no"},
                'Serving signature name: "no" not found in signature def',
            ),
            ({"instances": ["a"]}, "is not of expected type: float"),
            ({"instances": [{"b64": "AA=="}]}, "Type: Object is not of expected type: float"),
            ({"instances": [True]}, "is not of expected type: float"),
            ({"instances": [None]}, ""),
            ({"instances": [1, [2]]}, ""),
            ({"instances": [[1], [2, 3]]}, ""),
            ({"instances": [{"x": 1}, {"y": 1}]}, ""),
            ({"instances": [{"x": 1, "y": 1}]}, ""),
            ({"instances": [{"x": 1}, 2]}, ""),
            ({"inputs": {"y": [1]}}, "Missing named input: x in 'inputs' object."),
            ({"inputs": {}}, "Missing named input: x in 'inputs' object."),
        ],
        ids=str,
    )
    def test_errors(self, post: Ask, body: Any, words: str) -> None:
        response = post("half_plus:predict", body)
        assert response.status_code == 400
        assert words in response.json()["error"]

    @pytest.mark.parametrize(
        ("body", "status", "words"),
        [
            (signature("pair", instances=[1, 2]), 400, "instances is a plain list"),
            (signature("pair", instances=[{"a": 1}]), 400, ""),
            (signature("pair", inputs={"a": [1], "b": [1.5]}), 400, "not of expected type"),
            (signature("types", inputs={"small": [256], "on": [True]}), 400, ""),
            (signature("types", inputs={"small": [-1], "on": [True]}), 400, ""),
            (signature("types", inputs={"small": [1], "on": [1]}), 400, ""),
            (signature("half", inputs=[1]), 501, ""),
            (signature("echo", instances=[1]), 400, ""),
            # The alphabet for URLs is another.
            (signature("echo", instances=[{"b64": "_-8="}]), 400, ""),
            (signature("scalar", instances=[1, 2]), 400, ""),
        ],
        ids=str,
    )
    def test_errors_of_other_signatures(
        self, post: Ask, body: Any, status: int, words: str
    ) -> None:
        response = post("toy:predict", body)
        assert response.status_code == status
        assert words in response.json()["error"]

    @pytest.mark.parametrize(
        ("path", "status", "words"),
        [
            ("no", 404, "Servable not found for request: Latest(no)"),
            ("half_plus/versions/7", 404, "Servable not found for request: Specific(half_plus, 7)"),
            ("half_plus/labels/no", 400, "Unrecognized servable version label: no"),
        ],
    )
    def test_unknown_models(self, post: Ask, path: str, status: int, words: str) -> None:
        response = post(f"{path}:predict", {"instances": [1]})
        assert response.status_code == status
        assert response.json() == {"error": words}


class TestClassifyAndRegress:
    def test_results_of_classify(self, post: Ask) -> None:
        body = signature("classify", examples=[{"x": 0.75}, {"x": [0.0]}])
        assert post("toy:classify", body).json() == {
            "results": [[["yes", 0.75], ["no", 0.25]], [["yes", 0.0], ["no", 1.0]]]
        }

    def test_results_of_regress(self, post: Ask) -> None:
        body = signature("regress", examples=[{"x": 1.0}, {"x": 3.0}])
        assert post("toy:regress", body).json() == {"results": [0.5, 1.5]}

    def test_the_context_belongs_to_every_example(self, post: Ask) -> None:
        body = signature("regress", context={"x": 4.0}, examples=[{}, {"z": "text"}])
        assert post("toy:regress", body).json() == {"results": [2.0, 2.0]}

    @pytest.mark.parametrize(
        ("method", "body"),
        [
            ("classify", signature("classify")),
            ("classify", signature("classify", examples=[])),
            ("classify", signature("classify", examples=[5])),
            ("classify", signature("classify", examples=[{"x": {"y": 1}}])),
            ("classify", signature("classify", examples=[{"x": ["a", 1]}])),
            # A number without a decimal point is an integer, and the feature is a float.
            ("classify", signature("classify", examples=[{"x": 1}])),
            ("classify", signature("regress", examples=[{"x": 1.0}])),
            ("regress", signature("classify", examples=[{"x": 1.0}])),
            ("regress", signature("no", examples=[{"x": 1.0}])),
        ],
        ids=str,
    )
    def test_errors(self, post: Ask, method: str, body: Any) -> None:
        response = post(f"toy:{method}", body)
        assert response.status_code == 400
        assert response.json()["error"]
