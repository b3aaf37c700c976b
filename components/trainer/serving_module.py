"""The graph that is served: preprocessing, network, calibration, decision."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from components.example_gen import record
from components.explanation.maps import Seen
from components.trainer.calibration import calibrate
from components.trainer.explaining import Explanation, FrozenClassifier, draw, most_above
from components.trainer.input_sanity import InputSanity
from components.trainer.outputs import Output
from components.trainer.tasks import BINARY, TaskName

_EXAMPLE = {record.IMAGE: tf.io.FixedLenFeature([], tf.string)}


def _takes(name: str) -> Callable[[Callable], tf.types.experimental.PolymorphicFunction]:
    """A signature of one input: strings, [N]."""
    return tf.function(input_signature=[tf.TensorSpec([None], tf.string, name)])


@dataclasses.dataclass(frozen=True)
class Answers:
    """What the network's outputs stand for.

    Attributes:
      task: `binary`, one logit that tells two classes apart; or `multilabel`, a logit for each
        finding.
      class_names: of the negative and the positive class; or of the findings.
      outputs: how each logit becomes a decision.
    """

    task: TaskName
    class_names: tuple[str, ...]
    outputs: tuple[Output, ...]

    def __post_init__(self) -> None:
        names = [output.name for output in self.outputs]
        expected = self.class_names[1:] if self.task == BINARY else self.class_names
        if list(expected) != names:
            raise ValueError(f"a {self.task} model of {self.class_names} with outputs for {names}")


class ServingModule(tf.Module):
    """The signatures of the exported model, which share one copy of the network.

    Its variables are frozen to constants: it is faster than a plain Keras export on any TF Serving
    (`tests/benchmarks/serving_latency.py`), and has none to load. In float32 its probabilities are
    those of the Keras model, calibrated, within 1e-5. In bfloat16 its logits are off by at most a
    third of their standard deviation, and by a few hundredths of it as a rule; they are those that
    calibration and threshold were fitted on, if the validation images were embedded in bfloat16.
    """

    def __init__(
        self,
        network: FrozenClassifier,
        preprocessing: Callable[[dict[str, tf.Tensor]], dict[str, tf.Tensor]],
        answers: Answers,
        explanation: Explanation,
        sanity: InputSanity | None = None,
    ):
        """Join the parts.

        Args:
          network: images to embeddings, logits and maps.
          preprocessing: the Transform node's graph, as a layer.
          answers: what its outputs stand for.
          explanation: how maps are drawn.
          sanity: tells images that are unlike the training films; without it there is no
            `quality` among the answers, and no signature `measure`.
        """
        super().__init__(name="cxr")
        # Attached, so that what its graph holds is saved with this.
        self.preprocessing = preprocessing
        self._network = network
        self._answers = answers
        self._explanation = explanation
        self._sanity = sanity
        if sanity is not None:
            # Encoded images, string [N], to the scalars of `InputSanity.measure`, float32 [N].
            self.measure = _takes("image_bytes")(self._measure)

    @property
    def signatures(self) -> dict[str, tf.types.experimental.PolymorphicFunction]:
        """By name, as TF Serving offers them."""
        names = ["serving_default", "serving_examples", "classify", "explain", "embed"]
        names += (
            ["transform_features"] if self._sanity is None else ["measure", "transform_features"]
        )
        return {name: getattr(self, name) for name in names}

    def save(self, folder: str) -> None:
        """Write it as a SavedModel."""
        # What is served is not differentiated. To save how activations such as swish would be
        # fails where the graph holds a gradient through them already, as that of finer maps does.
        options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
        tf.saved_model.save(self, folder, signatures=self.signatures, options=options)

    @_takes("image_bytes")
    def serving_default(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        """Encoded images, string [N], to answers.

        Returns:
          `probability` float32, `decision` int64 and `label` string: [N] of a binary model,
          where `label` is the class decided on; [N, K] of a multi-label one, where it is the
          finding's name. `quality` string [N]: see `InputSanity.quality`.
        """
        return self._answer(image_bytes, *self._see(image_bytes))

    @_takes("examples")
    def serving_examples(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        """Serialized Examples, string [N], to the same."""
        encoded = _encoded(examples)
        return self._answer(encoded, *self._see(encoded))

    @_takes("inputs")
    def classify(self, inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        """Serialized Examples, string [N], as TF Serving's Classify API wants it answered.

        Returns:
          `classes` string [N, C] and `scores` float32 [N, C], probabilities in the order of the
          contract's class names.
        """
        _, seen = self._see(_encoded(inputs))
        scores = self._calibrated(seen.logits)
        if self._answers.task == BINARY:
            scores = tf.concat([1 - scores, scores], axis=1)
        return {"classes": self._names_for(scores), "scores": scores}

    @_takes("image_bytes")
    def explain(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        """Encoded images, string [N], to answers and what in the image speaks for them.

        Returns:
          What `serving_default` does; `heatmap`, what each cell of the grid adds to the logit, at
          least 0, float32 [N, h, w] of a binary model, [N, K, h, w] of a multi-label one; and
          `overlay_png_bytes`, string [N], the film with its heat, RGB. Of a multi-label model the
          overlay is that of one finding, which `explained`, string [N], names: the one whose
          probability lies furthest above its operating point, or least below it, in log odds.
        """
        images, seen = self._see(image_bytes)
        answer = self._answer(image_bytes, images, seen)
        probability = self._calibrated(seen.logits)
        thresholds = [output.operating_point.threshold for output in self._answers.outputs]
        shown = most_above(probability, thresholds)
        overlay = draw(image_bytes, images, seen.maps, shown, self._explanation)
        if self._answers.task == BINARY:
            return answer | {"heatmap": seen.maps[:, 0], "overlay_png_bytes": overlay}
        names = tf.gather(tf.constant(self._answers.class_names), shown)
        return answer | {"heatmap": seen.maps, "overlay_png_bytes": overlay, "explained": names}

    @_takes("image_bytes")
    def embed(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        """Encoded images, string [N]: `embedding`, the pooled activations, float32 [N, d]."""
        _, seen = self._see(image_bytes)
        return {"embedding": seen.embedding}

    @_takes("examples")
    def transform_features(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        """Serialized Examples, string [N], to what the network sees, as Transform made it."""
        return self._features(_encoded(examples))

    def _features(self, encoded: tf.Tensor) -> dict[str, tf.Tensor]:
        return self.preprocessing({record.IMAGE: encoded[:, tf.newaxis]})

    def _measure(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        assert self._sanity is not None
        images, seen = self._see(image_bytes)
        return self._sanity.measure(images, seen.embedding)

    def _see(self, encoded: tf.Tensor) -> tuple[tf.Tensor, Seen]:
        images = self._features(encoded)["image"]
        return images, self._network(images)

    def _calibrated(self, logits: tf.Tensor) -> tf.Tensor:
        return calibrate(logits, [output.calibration for output in self._answers.outputs])

    def _answer(self, encoded: tf.Tensor, images: tf.Tensor, seen: Seen) -> dict[str, tf.Tensor]:
        answer = self._decided(self._calibrated(seen.logits))
        if self._sanity is not None:
            answer["quality"] = self._sanity.quality(encoded, images, seen.embedding)
        return answer

    def _decided(self, probability: tf.Tensor) -> dict[str, tf.Tensor]:
        thresholds = [output.operating_point.threshold for output in self._answers.outputs]
        # In float64, as those who read the contract compare them.
        exceeds = tf.cast(probability, tf.float64) >= tf.constant(thresholds, tf.float64)
        decision = tf.cast(exceeds, tf.int64)
        if self._answers.task == BINARY:
            probability, decision = probability[:, 0], decision[:, 0]
            label = tf.gather(tf.constant(self._answers.class_names), decision)
        else:
            label = self._names_for(probability)
        return {"probability": probability, "decision": decision, "label": label}

    def _names_for(self, scores: tf.Tensor) -> tf.Tensor:
        """The class names in each row, string [N, C]: REST sends rows."""
        names = tf.constant([self._answers.class_names])
        return tf.tile(names, [tf.shape(scores)[0], 1])


def _encoded(examples: tf.Tensor) -> tf.Tensor:
    return tf.io.parse_example(examples, _EXAMPLE)[record.IMAGE]
