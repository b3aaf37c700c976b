"""What a prediction is, which images it is made from, and how a batch survives a bad one.

`Predictor` is the policy shared by every way to reach a model (`serving.saved_model` in this
process, `serving.client` over the network): bounded batches, outputs checked against the
contract of the exported model, and one bad image never costs the others their answer.
"""

from serving.prediction.answers import (
    Answer,
    Explanation,
    Failure,
    Finding,
    FindingsPrediction,
    Outcome,
    Prediction,
)
from serving.prediction.errors import (
    BadImageError,
    BatchRefusedError,
    ImagesNotFoundError,
    MissingOutputError,
    MissingSignatureError,
    ModelContractError,
    ModelNotFoundError,
    PredictionError,
    refusal,
)
from serving.prediction.images import IMAGE_SUFFIXES, Image, encode_image, find_images, read_image
from serving.prediction.outputs import EXPLAIN_SIGNATURE, INPUT, OUTPUTS, SIGNATURE
from serving.prediction.predictor import DEFAULT_BATCH_SIZE, Predictor

__all__ = [
    "DEFAULT_BATCH_SIZE",
    "EXPLAIN_SIGNATURE",
    "IMAGE_SUFFIXES",
    "INPUT",
    "OUTPUTS",
    "SIGNATURE",
    "Answer",
    "BadImageError",
    "BatchRefusedError",
    "Explanation",
    "Failure",
    "Finding",
    "FindingsPrediction",
    "Image",
    "ImagesNotFoundError",
    "MissingOutputError",
    "MissingSignatureError",
    "ModelContractError",
    "ModelNotFoundError",
    "Outcome",
    "Prediction",
    "PredictionError",
    "Predictor",
    "encode_image",
    "find_images",
    "read_image",
    "refusal",
]
