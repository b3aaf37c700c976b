"""The classifier, as what gives maps, what gives logits, and what forgets."""

from __future__ import annotations

from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from components.explanation.maps import Explainer
from components.explanation_probe.randomised import forget, restored
from components.trainer import frozen
from components.trainer.classifier import SCORE
from components.trainer.exported_classifier import ClassifierContract

Array = NDArray[np.float32]


class Network:
    """A classifier and what its contract says of it.

    Attributes:
      contract: of its export.
      method: by which the exported model explains itself, such as `grad_cam`.
      layer: whose activations its maps are of; empty for the backbone's last.
      grid: rows and columns of a map.
    """

    def __init__(self, classifier: keras.Model, contract: ClassifierContract):
        """Take a classifier as it is now.

        Args:
          classifier: as built by `classifier.build_classifier`.
          contract: of its export.
        """
        self.contract = contract
        self.method = contract.explanation.get("method", "grad_cam")
        self.layer = contract.explanation.get("layer", "")
        self._classifier = classifier
        explainer = Explainer(classifier, method=self.method, layer=self.layer)
        self.grid = explainer.grid
        images = tf.TensorSpec([None, *classifier.input_shape[1:]], tf.float32)
        # A graph of variables: it explains the network as it is when it is asked.
        self._explain = tf.function(explainer, input_signature=[images])
        logits = keras.Model(classifier.input, classifier.get_layer(SCORE).input)
        # As it is served.
        self._logits = frozen.freeze(logits, contract.precision)

    def explain(self, images: Array) -> tuple[Array, Array]:
        """Logits and maps.

        Args:
          images: float32 [N, S, S, 3] on [0, 1].

        Returns:
          Uncalibrated logits, float32 [N, K]; and maps, float32 [N, K, h, w], at least 0.
        """
        logits, maps = self._explain(tf.constant(images))
        return logits.numpy(), maps.numpy()

    def logits(self, images: Array) -> Array:
        """Logits of the network as it was, without maps, and sooner.

        Args:
          images: float32 [N, S, S, 3] on [0, 1].

        Returns:
          Uncalibrated, float32 [N, K].
        """
        return self._logits(tf.constant(images)).numpy()

    def forgetting(self, seed: int) -> Iterator[str]:
        """Randomise the network step by step, see `randomised.forget`; then it is as before.

        Args:
          seed: of what takes the place of its weights.

        Yields:
          What was randomised, when `explain` explains that.
        """
        with restored(self._classifier):
            yield from forget(self._classifier, self.contract.backbone, seed)
