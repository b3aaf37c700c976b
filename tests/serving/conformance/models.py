"""The toy models of the conformance suite, and how to put them behind a server of your choice.

    python -m tests.serving.conformance.models FOLDER

exports them with a `models.config`, and prints how TensorFlow Serving serves them. Then

    CXR_SERVING_ENDPOINT=localhost:8500:8501 CXR_SERVING_MODELS=/models \\
        pytest tests/serving/conformance

asks that server instead of the embedded one. CXR_SERVING_MODELS is the folder as the server
sees it; without it the tests that reload the configuration are skipped.
"""

import argparse
from pathlib import Path

CONFIG_FILE = "models.config"

# Version 123 of half_plus is x / 2 + 2, and version 124 is x / 2 + 3.
OFFSETS = {123: 2.0, 124: 3.0}
CONFIG = """
model_config_list {{
  config {{
    name: "half_plus"
    base_path: "{folder}/half_plus"
    model_platform: "tensorflow"
    model_version_policy {{ all {{}} }}
    version_labels {{ key: "stable" value: 123 }}
    version_labels {{ key: "canary" value: 124 }}
  }}
  config {{ name: "toy" base_path: "{folder}/toy" model_platform: "tensorflow" }}
}}
"""


def export_half_plus(version_dir: Path, offset: float) -> None:
    """y = x / 2 + offset, whose offset is a variable."""
    import tensorflow as tf

    class HalfPlus(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.offset = tf.Variable(offset)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
        def serve(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"y": x / 2 + self.offset}

    model = HalfPlus()
    tf.saved_model.save(model, str(version_dir), signatures={"serving_default": model.serve})


def export_toy(version_dir: Path) -> None:
    """A signature for each kind of input and output."""
    import tensorflow as tf

    def spec(shape: list[int | None], dtype: tf.DType, name: str) -> tf.TensorSpec:
        return tf.TensorSpec(shape, dtype, name=name)

    def feature_x(examples: tf.Tensor) -> tf.Tensor:
        features = {"x": tf.io.FixedLenFeature([], tf.float32)}
        return tf.io.parse_example(examples, features)["x"]

    examples = spec([None], tf.string, "inputs")

    class Toy(tf.Module):
        @tf.function(input_signature=[spec([None], tf.float32, "a"), spec([None], tf.int32, "b")])
        def pair(self, a: tf.Tensor, b: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"sum": a + tf.cast(b, tf.float32), "double": 2 * b}

        @tf.function(input_signature=[spec([None], tf.string, "image_bytes")])
        def echo(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
            length = tf.strings.length(image_bytes)
            return {"length": length, "copy_bytes": image_bytes, "text": image_bytes}

        @tf.function(input_signature=[spec([], tf.float32, "x")])
        def scalar(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"y": x + 1}

        @tf.function(input_signature=[spec([None, 2], tf.float32, "x")])
        def matrix(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"y": -x}

        @tf.function(input_signature=[spec([None], tf.uint8, "small"), spec([None], tf.bool, "on")])
        def types(self, small: tf.Tensor, on: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"small": small, "on": tf.logical_not(on)}

        @tf.function(input_signature=[spec([None], tf.half, "x")])
        def half(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"y": x}

        @tf.function(input_signature=[examples])
        def classify(self, inputs: tf.Tensor) -> dict[str, tf.Tensor]:
            score = tf.stack([feature_x(inputs), 1 - feature_x(inputs)], axis=1)
            names = tf.tile(tf.constant([["yes", "no"]]), [tf.shape(inputs)[0], 1])
            return {"classes": names, "scores": score}

        @tf.function(input_signature=[examples])
        def regress(self, inputs: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"outputs": feature_x(inputs)[:, tf.newaxis] / 2}

        @tf.function(input_signature=[examples])
        def count(self, inputs: tf.Tensor) -> dict[str, tf.Tensor]:
            """A batch's size, for each of its rows: what tells how batches were joined."""
            return {"outputs": tf.cast(tf.fill([tf.size(inputs)], tf.size(inputs)), tf.float32)}

    model = Toy()
    names = ("pair", "echo", "scalar", "matrix", "types", "half", "classify", "regress", "count")
    signatures = {name: getattr(model, name) for name in names}
    signatures["serving_default"] = model.echo
    tf.saved_model.save(model, str(version_dir), signatures=signatures)


def export_all(folder: Path) -> Path:
    """Writes every model and the ModelServerConfig that serves them; returns its path."""
    for version, offset in OFFSETS.items():
        export_half_plus(folder / "half_plus" / f"{version:08}", offset)
    export_toy(folder / "toy" / "1")
    config = folder / CONFIG_FILE
    config.write_text(CONFIG.format(folder=folder))
    return config


def main() -> None:
    """Export, and say what to do next."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder.absolute()
    config = export_all(folder)
    config.write_text(CONFIG.format(folder="/models"))
    print(
        "docker run --rm -p 8500:8500 -p 8501:8501 \\\n"
        f"  -v {folder}:/models:ro tensorflow/serving:2.19.0 \\\n"
        f"  --model_config_file=/models/{CONFIG_FILE} --enable_grpc_healthcheck_service \\\n"
        "  --allow_version_labels_for_unavailable_models"
    )


if __name__ == "__main__":
    main()
