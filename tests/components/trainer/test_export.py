"""The exported model, asked as a stranger would ask it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_transform as tft
from scipy.special import expit, logit
from tensorflow_serving.apis import prediction_log_pb2

from components.trainer import export
from components.trainer.backbones import build_backbone
from components.trainer.calibration import Calibration
from components.trainer.classifier import build_classifier, build_head
from components.trainer.contract_file import CONTRACT
from components.trainer.explaining import Explanation
from components.trainer.operating_point import OperatingPoint
from components.trainer.outputs import Output, fit_outputs
from components.trainer.serving_module import Answers
from components.trainer.settings import TrainerSettings
from components.trainer.tasks import TASKS
from components.transform.preprocessing import preprocess
from tests.components.trainer.conftest import Trained
from tests.components.trainer.samples import SIDE, image_of, serve

# Runs with nothing but TensorFlow and Keras: no module of this project, no TFX.
STRANGER = """
import sys
for module in ("components", "pipeline", "serving", "tfx", "tensorflow_transform", "tfx_bsl"):
    sys.modules[module] = None
import json
import tensorflow as tf
model = tf.saved_model.load(sys.argv[1])
image = open(sys.argv[2], "rb").read()
answer = model.signatures["serving_default"](image_bytes=tf.constant([image]))
import keras
network = keras.models.load_model(sys.argv[3])
print(json.dumps({"probability": float(answer["probability"][0]),
                  "decision": int(answer["decision"][0]),
                  "label": answer["label"][0].numpy().decode(),
                  "score": float(network(tf.zeros([1, *network.input_shape[1:]]))[0, 0])}))
"""


@pytest.fixture(scope="module")
def served(trained: Trained) -> Any:
    return tf.saved_model.load(str(trained.model_dir))


@pytest.fixture(scope="module")
def images(trained: Trained) -> list[bytes]:
    return [image_of(film) for film in trained.films[40:]]


@pytest.fixture(scope="module")
def answer(served: Any, images: list[bytes]) -> dict[str, np.ndarray]:
    answer = served.signatures["serving_default"](image_bytes=tf.constant(images))
    return {name: value.numpy() for name, value in answer.items()}


def test_it_answers_as_the_contract_says(
    answer: dict[str, np.ndarray], images: list[bytes]
) -> None:
    assert {name: (value.dtype.kind, value.shape) for name, value in answer.items()} == {
        "probability": ("f", (len(images),)),
        "decision": ("i", (len(images),)),
        "label": ("O", (len(images),)),
        "quality": ("O", (len(images),)),
    }
    assert answer["decision"].dtype == np.int64
    assert 0 < answer["decision"].sum() < len(images)


def test_examples_and_images_get_the_same_answer(
    trained: Trained, served: Any, answer: dict[str, np.ndarray]
) -> None:
    serialized = [film.SerializeToString() for film in trained.films[40:]]

    other = served.signatures["serving_examples"](examples=tf.constant(serialized))

    assert other.keys() == answer.keys()
    np.testing.assert_allclose(other["probability"], answer["probability"], atol=1e-5)
    np.testing.assert_array_equal(other["decision"], answer["decision"])
    np.testing.assert_array_equal(other["label"], answer["label"])
    np.testing.assert_array_equal(other["quality"], answer["quality"])


def test_one_image_gets_the_answer_that_it_gets_in_a_batch(
    served: Any, answer: dict[str, np.ndarray], images: list[bytes]
) -> None:
    alone = served.signatures["serving_default"](image_bytes=tf.constant(images[:1]))

    np.testing.assert_allclose(alone["probability"][0], answer["probability"][0], atol=1e-5)


def test_it_is_the_keras_model_and_the_contract(
    trained: Trained, answer: dict[str, np.ndarray], images: list[bytes]
) -> None:
    classifier = keras.models.load_model(trained.keras_file)
    contract = trained.contract

    scores = classifier.predict(preprocess(tf.constant(images), SIDE), verbose=0)[:, 0]
    (output,) = contract["outputs"]
    expected = Calibration(**output["calibration"])(logit(scores.astype(np.float64)))

    np.testing.assert_allclose(answer["probability"], expected, atol=1e-5)
    decisions = (expected >= output["operating_point"]["threshold"]).astype(int)
    np.testing.assert_array_equal(answer["decision"], decisions)
    names = [contract["class_names"][decision].encode() for decision in decisions]
    assert answer["label"].tolist() == names


def test_it_runs_without_this_project(
    trained: Trained, answer: dict[str, np.ndarray], images: list[bytes], tmp_path: Path
) -> None:
    film = tmp_path / "film.png"
    film.write_bytes(images[1])

    done = subprocess.run(
        [
            sys.executable,
            "-I",
            "-c",
            STRANGER,
            str(trained.model_dir),
            str(film),
            str(trained.keras_file),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["probability"] == pytest.approx(float(answer["probability"][1]), abs=1e-5)
    assert told["decision"] == answer["decision"][1]
    assert told["label"] == answer["label"][1].decode()
    assert 0 <= told["score"] <= 1


def test_the_contract_says_what_one_must_know(trained: Trained) -> None:
    contract = trained.contract

    assert contract["class_names"] == ["normal", "pneumonia"]
    assert contract["backbone"] == "DenseNet121"
    assert contract["image_size"] == SIDE
    assert f"{SIDE}x{SIDE}" in contract["preprocessing"]
    assert len(contract["weights_sha256"]) == 64
    assert (contract["task"], contract["precision"]) == ("binary", "float32")
    (output,) = contract["outputs"]
    assert output["name"] == "pneumonia"
    assert output["calibration"]["method"] == "platt"
    assert output["calibration"]["prior_shift"] == 0  # as many of either class
    assert output["operating_point"]["chosen_by"] == "sensitivity 0.9 on validation"
    assert output["operating_point"]["sensitivity"] >= 0.9
    assert output["calibration_error"]["images"] == 24
    assert contract["training"]["images"] == {
        "train": {"normal": 20, "pneumonia": 20},
        "val": {"normal": 12, "pneumonia": 12},
    }
    assert "Not a diagnostic device" in contract["intended_use"]


# --- The other signatures --------------------------------------------------------------------


@pytest.fixture(scope="module")
def serialized(trained: Trained) -> tf.Tensor:
    return tf.constant([film.SerializeToString() for film in trained.films[40:]])


def test_it_has_the_signatures_of_the_contract(served: Any) -> None:
    inputs = {
        name: signature.structured_input_signature[1]
        for name, signature in served.signatures.items()
    }

    assert {name: list(spec) for name, spec in inputs.items()} == {
        "serving_default": ["image_bytes"],
        "serving_examples": ["examples"],
        "classify": ["inputs"],
        "embed": ["image_bytes"],
        "explain": ["image_bytes"],
        "measure": ["image_bytes"],
        "transform_features": ["examples"],
    }
    for specs in inputs.values():
        ((name, spec),) = specs.items()
        assert (spec.dtype, spec.shape.rank) == (tf.string, 1), name


def test_classify_names_both_classes(
    served: Any, serialized: tf.Tensor, answer: dict[str, np.ndarray]
) -> None:
    found = served.signatures["classify"](inputs=serialized)

    assert found.keys() == {"classes", "scores"}
    assert found["classes"].numpy().tolist() == [[b"normal", b"pneumonia"]] * len(serialized)
    assert found["scores"].dtype == tf.float32
    positive = answer["probability"]
    expected = np.stack([1 - positive, positive], axis=1)
    np.testing.assert_allclose(found["scores"], expected, atol=1e-6)


def test_embed_gives_the_pooled_activations(
    trained: Trained, served: Any, images: list[bytes]
) -> None:
    classifier = keras.models.load_model(trained.keras_file)
    pooled = keras.Model(classifier.input, classifier.get_layer("pool").output)
    expected = pooled.predict(preprocess(tf.constant(images), SIDE), verbose=0)

    found = served.signatures["embed"](image_bytes=tf.constant(images))

    assert found.keys() == {"embedding"}
    np.testing.assert_allclose(found["embedding"], expected, atol=1e-5)


def test_transform_features_gives_what_the_network_sees(
    served: Any, serialized: tf.Tensor, images: list[bytes]
) -> None:
    found = served.signatures["transform_features"](examples=serialized)

    assert found.keys() == {"image"}
    np.testing.assert_allclose(found["image"], preprocess(tf.constant(images), SIDE), atol=1e-6)


# --- As TF Serving loads it ------------------------------------------------------------------


@pytest.mark.parametrize("name", ["serving_default", "classify", "embed", "explain"])
def test_a_session_gives_the_same(
    trained: Trained, served: Any, serialized: tf.Tensor, images: list[bytes], name: str
) -> None:
    """TF Serving loads into a session, not with `tf.saved_model.load`."""
    signature = served.signatures[name]
    (input_name,) = signature.structured_input_signature[1]
    fed = serialized.numpy() if input_name == "inputs" else images
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        meta = tf.compat.v1.saved_model.loader.load(session, ["serve"], str(trained.model_dir))
        definition = meta.signature_def[name]
        outputs = {key: info.name for key, info in definition.outputs.items()}
        found = session.run(outputs, {definition.inputs[input_name].name: fed})

    expected = signature(**{input_name: tf.constant(fed)})
    assert found.keys() == expected.keys()
    for key, value in found.items():
        if value.dtype.kind == "f":
            np.testing.assert_allclose(value, expected[key], atol=1e-6)
        else:
            np.testing.assert_array_equal(value, expected[key].numpy())


def test_warm_up_requests_are_answered(trained: Trained, served: Any) -> None:
    path = trained.model_dir / "assets.extra" / "tf_serving_warmup_requests"
    asked = []
    for raw in tf.data.TFRecordDataset(str(path)):  # uncompressed
        request = prediction_log_pb2.PredictionLog.FromString(raw.numpy()).predict_log.request
        signature = served.signatures[request.model_spec.signature_name]
        fed = {name: tf.constant(tf.make_ndarray(proto)) for name, proto in request.inputs.items()}
        answer = signature(**fed)
        assert np.isfinite(answer["probability"]).all()
        asked.append((request.model_spec.signature_name, len(answer["label"])))

    assert asked == [*(("serving_default", size) for size in (1, 2, 8)), ("explain", 1)]


# --- Other tasks and precisions --------------------------------------------------------------

PNEUMONIA = Answers(
    "binary",
    ("normal", "pneumonia"),
    (Output("pneumonia", Calibration("none"), OperatingPoint(0.5, "", None, None, 0, 0)),),
)
FINDINGS = ("Effusion", "Hernia", "Pneumonia")


@pytest.fixture
def export_small(
    transform_graph: Path, small_backbone: keras.Model, tmp_path: Path
) -> Callable[..., tuple[keras.Model, Any]]:
    """Exports a classifier of random weights, and loads it again."""

    def export_small(*outputs: Output) -> tuple[keras.Model, Any]:
        head = build_head(8, units=4, dropout=0.0, l2=0.0, outputs=len(outputs))
        classifier = build_classifier(small_backbone, head)
        layer = tft.TFTransformOutput(str(transform_graph)).transform_features_layer()
        answers = Answers("multilabel", FINDINGS, outputs)
        module = serve(classifier, layer, answers)
        module.save(str(tmp_path / "1"))
        return classifier, tf.saved_model.load(str(tmp_path / "1"))

    return export_small


def test_the_network_is_in_it_once(
    transform_graph: Path, small_backbone: keras.Model, tmp_path: Path
) -> None:
    head = build_head(8, units=100_000, dropout=0.0, l2=0.0)
    layer = tft.TFTransformOutput(str(transform_graph)).transform_features_layer()
    module = serve(build_classifier(small_backbone, head), layer, PNEUMONIA)
    module.save(str(tmp_path))

    size = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
    assert size < 1.2 * 4 * head.count_params()  # bytes


def test_a_multilabel_model_answers_for_each_finding(
    export_small: Callable[..., tuple[keras.Model, Any]], images: list[bytes], serialized: tf.Tensor
) -> None:
    calibrations = (
        Calibration("platt", slope=0.5, intercept=0.2),
        Calibration("isotonic", curve=((-1.0, -2.0), (0.0, 0.5), (1.0, 2.0))),
        Calibration("prior", "few", prior_shift=1.0, prevalence_shift=-0.5),
    )
    outputs = [
        Output(name, calibration, OperatingPoint(0.5, "by hand", None, None, 0, 0))
        for name, calibration in zip(FINDINGS, calibrations, strict=True)
    ]
    classifier, served = export_small(*outputs)
    scores = classifier.predict(preprocess(tf.constant(images), SIDE), verbose=0)
    logits = logit(scores.astype(np.float64))
    expected = np.stack([one(logits[:, k]) for k, one in enumerate(calibrations)], axis=1)

    answer = served.signatures["serving_default"](image_bytes=tf.constant(images))
    classified = served.signatures["classify"](inputs=serialized)

    names = [[name.encode() for name in FINDINGS]] * len(images)
    np.testing.assert_allclose(answer["probability"], expected, atol=1e-5)
    np.testing.assert_array_equal(answer["decision"], answer["probability"].numpy() >= 0.5)
    assert answer["decision"].dtype == tf.int64
    assert answer["label"].numpy().tolist() == names
    assert classified["classes"].numpy().tolist() == names
    np.testing.assert_allclose(classified["scores"], answer["probability"], atol=1e-6)


def test_outputs_that_are_not_the_classes_are_refused() -> None:
    output = Output("Hernia", Calibration("none"), OperatingPoint(0.5, "", None, None, 0, 0))

    with pytest.raises(ValueError, match=r"multilabel model of .* with outputs for"):
        Answers("multilabel", FINDINGS, (output,))
    with pytest.raises(ValueError, match="binary model of"):
        Answers("binary", ("normal", "pneumonia"), (output,))


def test_in_bfloat16_the_logits_of_a_deep_network_are_close(
    transform_graph: Path, trained: Trained, images: list[bytes], tmp_path: Path
) -> None:
    densenet = build_backbone("DenseNet121", image_size=SIDE, weights="none", seed=1)
    head = build_head(1024, units=16, dropout=0.0, l2=0.0)
    classifier = build_classifier(densenet, head)
    pixels = preprocess(tf.constant(images), SIDE)
    pooled = keras.Model(classifier.input, classifier.get_layer("pool").output)
    head.get_layer("standardise_embedding").adapt(pooled.predict(pixels, verbose=0))
    layer = tft.TFTransformOutput(str(transform_graph)).transform_features_layer()

    def logits_in(precision: str) -> np.ndarray:
        module = serve(classifier, layer, PNEUMONIA, precision)
        return logit(module.serving_default(tf.constant(images))["probability"].numpy())

    expected = logit(classifier.predict(pixels, verbose=0)[:, 0])
    np.testing.assert_allclose(logits_in("float32"), expected, atol=1e-3)
    error = np.abs(logits_in("bfloat16") - expected)
    assert 1e-4 < error.max() < 0.3 * expected.std()


# --- Decisions, on a classifier that can be steered ------------------------------------------


@pytest.fixture
def ask() -> Callable[[float, float], dict[str, list[Any]]]:
    """Answers to logits -1, 0 and 1, sent in as images, at a slope and a threshold."""
    image = keras.Input((1, 1, 3))
    backbone = keras.Model(image, keras.layers.Identity()(image), name="backbone")
    embedding = keras.Input((3,))
    total = keras.layers.Dense(1, kernel_initializer="ones", use_bias=False)(embedding)
    classifier = build_classifier(backbone, keras.Model(embedding, total, name="head"))

    class Numbers(tf.Module):
        def __call__(self, features: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
            number = tf.strings.to_number(features["image/encoded"]) / 3
            return {"image": tf.reshape(number, [-1, 1, 1, 1]) * tf.ones([1, 1, 1, 3])}

    def answers(slope: float, threshold: float) -> dict[str, list[Any]]:
        output = Output(
            "pneumonia",
            Calibration("platt", slope=slope),
            OperatingPoint(threshold, "by hand", 1.0, 1.0, 1, 1),
        )
        binary = Answers("binary", ("normal", "pneumonia"), (output,))
        module = serve(classifier, Numbers(), binary)
        answer = module.serving_default(tf.constant(["-1", "0", "1"]))
        return {name: value.numpy().tolist() for name, value in answer.items()}

    return answers


def test_the_threshold_itself_is_positive(
    ask: Callable[[float, float], dict[str, list[Any]]],
) -> None:
    answer = ask(1.0, 0.5)

    assert answer["decision"] == [0, 1, 1]
    assert answer["label"] == [b"normal", b"pneumonia", b"pneumonia"]
    assert ask(1.0, 0.51)["decision"] == [0, 0, 1]


def test_extreme_scores_are_calibrated_before_they_saturate(
    ask: Callable[[float, float], dict[str, list[Any]]],
) -> None:
    assert ask(0.5, 0.5)["probability"] == pytest.approx(expit([-0.5, 0, 0.5]).tolist(), abs=1e-6)


def test_what_a_model_is_for_is_said_of_one_finding_and_of_many() -> None:
    one, many = (TASKS[labels].intended_use for labels in ("pneumonia", "findings"))
    assert "pneumonia from normal" in one
    assert "which of 14 findings" in many
    assert all("Not a diagnostic device" in said for said in (one, many))


def test_a_contract_is_strict_json_even_without_a_class(tmp_path: Path) -> None:
    (output,) = fit_outputs(
        ["pneumonia"],
        np.array([[0.2], [0.7]]),
        np.array([[1], [1]]),
        TrainerSettings(),
        prior_shift=np.zeros(1),
    )
    export.ModelContract(
        task="binary",
        class_names=("normal", "pneumonia"),
        outputs=(output,),
        explanation=Explanation("grad_cam", "", (7, 7), 0.6, (0.0,)),
        precision="float32",
        backbone="DenseNet121",
        weights="none",
        weights_sha256="0" * 64,
        image_size=SIDE,
        preprocessing="grey",
        code="0" * 16,
        training={},
        intended_use=TASKS["pneumonia"].intended_use,
    ).save(tmp_path)

    text = (tmp_path / CONTRACT).read_text("utf-8")
    (read,) = json.loads(text)["outputs"]
    assert read["operating_point"]["specificity"] is None
    assert read["calibration_error"] is None
    assert "NaN" not in text
